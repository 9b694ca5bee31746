internal import Checkpoint
internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import Objects
internal import SystemPackage

/// The terminal from outside that a tree uses, seen from the host that the tree leaves. The terminal itself stays; at the
/// destination a new one takes its place, which a process of its own keeps there (`Terminals`).
struct LeavingTerminal {
    /// What the other host has to know of it.
    private struct Found {
        /// By which the dump leaves it outside, and the restore finds what takes its place.
        var key: String
        var path: String
        /// Of the slave.
        var uid, gid: UInt32
        var permissions: UInt16
        /// The session that it controls, and the foreground process group, as far as the tree is in it.
        var session, foreground: Int32?
    }

    private let isWanted: Bool
    private let pid: Int32
    private let name: String
    private var found: Found?
    /// The leader of the root's session is not in the tree: the root begins a session of its own there.
    private var beginsSession = false

    /// Looks, before anything is begun.
    ///
    /// - Throws: `leads-outside` where it is more than can move along, or nothing that somebody could be joined to; `object-unreadable`.
    init(_ options: MigrationOptions, _ logger: Logger) throws {
        isWanted = options.terminal != .stays
        pid = options.dump.pid
        name = (try? ProcessDirectory(pid).name()).map { String(decoding: $0, as: UTF8.self) } ?? ""
        // What is the matter with a root that is not there the dump says.
        guard isWanted, let root = try? ProcessDirectory(pid).stat() else { return }
        let tree = TerminalLook(of: pid)
        beginsSession = !tree.pids.contains(root.session)
        found = try find(tree, logger)
        if options.terminal == .attaches, found == nil {
            throw Problem(
                .leadsOutside, "it uses no terminal from outside that somebody could be joined to",
                object: .init(pid: pid, process: name), remedy: "Migrate it without --attach")
        }
    }

    private func find(_ tree: TerminalLook, _ logger: Logger) throws -> Found? {
        let outside = try tree.outside()
        let devices = Set(outside.compactMap(\.device))
        if devices.count > 1 {
            let names = Set(outside.map(\.seen.linkText)).sorted().joined(separator: ", ")
            throw Problem(
                .leadsOutside, "the tree uses several terminals from outside (\(names)), and one can move along",
                object: .init(pid: pid, process: name), remedy: "Close the others in the tree")
        }
        if let strange = tree.controlled.first(where: { TerminalFile.index(of: $0.terminal) == nil }) {
            throw Problem(
                .leadsOutside, "its controlling terminal is no pseudo-terminal, and only these move along",
                object: .init(pid: strange.pid, process: String(decoding: strange.name, as: UTF8.self)),
                remedy: "Start the program with setsid, or in a terminal of ssh, tmux or a desktop")
        }
        let controlling = tree.controlled.first
        guard let one = outside.first(where: { $0.isByName }) else {
            if let one = outside.first {
                throw Problem(
                    .leadsOutside, "the terminal from outside is open as /dev/tty alone, and cannot move along so",
                    object: one.seen.object, remedy: "Have the program close it, or open it by its own name")
            }
            if let controlling {
                logger.warning(
                    "process \(controlling.pid): its controlling terminal is open nowhere in the tree, and does not move along"
                )
            }
            return nil
        }
        var found = Found(
            key: TerminalFile.externalKey(of: one.seen) ?? "", path: one.seen.linkText, uid: one.seen.status.uid,
            gid: one.seen.status.gid, permissions: one.seen.status.permissions)
        if let controlling, controlling.terminal == one.device {
            found.session = beginsSession && !tree.pids.contains(controlling.session) ? pid : controlling.session
            let isHere = tree.stats.contains { $0.processGroup == controlling.terminalForeground }
            found.foreground = isHere ? controlling.terminalForeground : nil
        }
        return found
    }

    /// Whether something takes its place there.
    var isKept: Bool { found != nil }

    // MARK: The dump

    /// Lets it stay outside.
    func apply(to dump: inout DumpOptions) {
        dump.shellJob = isWanted
        if let found { dump.external.append(found.key) }
    }

    /// What a dump says of terminals and sessions outside has another way out in a migration.
    func reworded(_ error: any Error) -> any Error {
        Problems.rewording(error) { problem in
            guard problem.code == .leadsOutside, problem.remedy.contains("--shell-job") else { return }
            problem.remedy =
                usesTerminal
                ? "Migrate with --detach: there a new pseudo-terminal takes the place of the one outside, and `apus attach`"
                    + " joins you to it. Or with --attach, which does that at once"
                : "Migrate with --detach: there the tree begins a session of its own, without the leader that stays here."
                    + " Or start the program with setsid the next time"
        }
    }

    private var usesTerminal: Bool {
        let tree = TerminalLook(of: pid)
        return !tree.controlled.isEmpty || (try? tree.outside().isEmpty) == false
    }

    // MARK: The other host

    /// Asks for a terminal there.
    func hello(_ words: [JSON.Member]) -> JSON {
        guard isKept else { return .object(words) }
        return .object(
            words + [.init("terminal", ["pid": .integer(Int64(pid)), "name": .string(name)])])
    }

    /// - Throws: `protocol` where the other host makes none.
    func confirm(_ welcome: JSON, _ host: String) throws(Problem) {
        guard isKept, welcome["terminal"]?.isTrue != true else { return }
        throw Problem(
            .badProtocol, "\(host) does not know how to keep a terminal",
            remedy: "Install the same version of Apus on both hosts")
    }

    /// What the restore is to do about it; null for nothing.
    var wishes: JSON {
        guard isWanted else { return .null }
        var members: [JSON.Member] = [.init("begins-session", .bool(beginsSession))]
        if let found {
            members += [
                .init("key", .string(found.key)), .init("path", .string(found.path)),
                .init("uid", .integer(Int64(found.uid))), .init("gid", .integer(Int64(found.gid))),
                .init("mode", .integer(Int64(found.permissions))),
                .init("session", .integer(Int64(found.session ?? 0))),
                .init("foreground", .integer(Int64(found.foreground ?? 0))),
            ]
        }
        return .object(members)
    }
}
