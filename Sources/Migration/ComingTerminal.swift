internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import Restore
internal import SystemPackage
internal import Terminals

/// The terminal that takes the place of one that has stayed behind, seen from the host that the tree comes to.
final class ComingTerminal: Sendable {
    private let folder: TerminalFolder
    private let uuid: String
    /// The slave.
    private let slave: OwnedDescriptor
    private let logger: Logger

    /// Takes over what a ``KeeperProcess`` has given to its receiver.
    init(_ uuid: String, in state: FilePath, _ logger: Logger) throws(Problem) {
        do throws(Errno) { slave = try Files.duplicate(KeeperProcess.terminal, from: 5) } catch {
            throw Problem(
                .terminalUnkeepable, "there is no terminal for the tree",
                cause: .init(error, attempted: "fcntl(F_DUPFD_CLOEXEC)"), remedy: "Report this")
        }
        // It was given with a number that the tree may have, and that programs would inherit.
        try? Files.close(KeeperProcess.terminal)
        folder = TerminalFolder(in: state)
        self.uuid = uuid
        self.logger = logger
    }

    /// Gives it to a restore.
    func apply(_ wishes: JSON, to restore: inout RestoreOptions) {
        guard let key = wishes["key"]?.string else { return }
        func number<N: FixedWidthInteger>(_ name: String) -> N? { wishes[name]?.bits.flatMap { N(exactly: $0) } }
        restore.inherited.append(.init(descriptor: slave.raw, key: key))
        if let session: Int32 = number("session"), session > 0 {
            restore.givenSessions[key] = .init(session: session, foreground: number("foreground") ?? 0)
        }
        // Who may open it by its name.
        if let uid: UInt32 = number("uid"), let gid: UInt32 = number("gid"), let mode: UInt32 = number("mode") {
            try? Files.setOwner(slave.raw, uid: uid, gid: gid)
            try? Files.setMode(slave.raw, mode & 0o7777)
        }
    }

    /// Nobody is to find it any more: the tree does not come. Its keeper ends when nobody has it open.
    func leave() { folder.remove(uuid) }

    /// Its name, and that of the one whose place it takes, for who reads the log.
    func tell(_ wishes: JSON) {
        guard let old = wishes["path"]?.string,
            let new = try? Files.readLink(FilePath("/proc/self/fd/\(slave.raw)"))
        else { return }
        logger.info("terminal \(old) of the tree is \(String(decoding: new, as: UTF8.self)) here")
    }
}
