public import Diagnostics
internal import Glibc
internal import Images
internal import Linux
public import SystemPackage

/// Where the keepers of terminals can be reached: a directory for root alone, with a Unix socket for each.
public struct TerminalFolder: Sendable {
    private let path: FilePath
    private static let suffix = ".sock"
    /// How long a keeper may take to answer, in nanoseconds.
    private static let patience: UInt64 = 2_000_000_000

    /// - Parameter state: where Apus keeps what outlives a run.
    public init(in state: FilePath) { path = state.appending("terminals") }

    // MARK: For keepers

    /// Makes a socket that others can be let in by.
    ///
    /// - Throws: `terminal-unkeepable`.
    func listen(_ id: String) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            for place in [path.removingLastComponent(), path] {
                do throws(Errno) { try Files.makeDirectory(place, mode: 0o700) } catch {
                    if error != .fileExists { throw error }
                }
            }
            let socket = try Sockets.make(Sockets.unix, Sockets.stream)
            let usual = umask(0o177)
            defer { umask(usual) }
            // Whoever finds one that nobody listens at takes it for what a keeper has left that was killed.
            let new = id + ".new"
            try reach(new) { address throws(Errno) in try Sockets.bind(socket.raw, address) }
            try Sockets.listen(socket.raw, backlog: 16)
            try Files.rename(path.appending(new), to: path.appending(id + Self.suffix))
            return socket
        } catch {
            throw Problem(
                .terminalUnkeepable, "nobody could be let into the terminal of the tree",
                object: .init(path: path.string), cause: .init(error, attempted: "mkdir, bind, listen"),
                remedy: "Make room there, or name another directory with --state-dir")
        }
    }

    /// Takes the socket away.
    public func remove(_ id: String) { try? Files.remove(path.appending(id + Self.suffix)) }

    /// Calls the body with the address of a socket of a name. It goes by an open directory, as the path may be too long for one (unix(7)).
    private func reach(_ name: String, _ body: ([UInt8]) throws(Errno) -> Void) throws(Errno) {
        let folder = try Files.open(path, [.path, .directory])
        let place = "/proc/self/fd/\(folder.raw)/\(name)"
        guard place.utf8.count < 108 else { throw .fileNameTooLong }
        try body([UInt8(Sockets.unix), 0] + Array(place.utf8) + [0])
    }

    // MARK: For others

    /// Connects to a keeper.
    ///
    /// - Throws: `terminal-unknown`.
    func connect(_ id: String) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) { return try open(id) } catch {
            throw Problem(
                .terminalUnknown, "the terminal \(id) is not kept here any more",
                cause: .init(error, attempted: "connect"), remedy: "apus attach --list shows those that are")
        }
    }

    private func open(_ id: String) throws(Errno) -> OwnedDescriptor {
        let socket = try Sockets.make(Sockets.unix, Sockets.stream)
        try reach(id + Self.suffix) { address throws(Errno) in try Sockets.connect(socket.raw, address) }
        // Who could have put another socket there can do everything else, too; but it costs nothing to look.
        let peer = try Sockets.peerCredentials(of: socket.raw)
        guard let peer, peer.uid == 0 || peer.uid == geteuid() else { throw .permissionDenied }
        return socket
    }

    /// All that are kept, in the order of their pids. Sockets that keepers which were killed have left are removed.
    ///
    /// - Throws: `terminal-unknown` for whoever may not look.
    public func all() throws(Problem) -> [KeptTerminal] {
        let entries: [DirectoryEntry]
        do throws(Errno) { entries = try Files.entries(of: path) } catch {
            if error == .noSuchFileOrDirectory { return [] }
            throw Problem(
                .terminalUnknown, "it cannot be seen which terminals are kept on this host",
                object: .init(path: path.string),
                cause: .init(error, attempted: "open"), remedy: "Run Apus as root")
        }
        let names = entries.map { String(decoding: $0.name, as: UTF8.self) }
        let found = names.filter { $0.hasSuffix(Self.suffix) }.compactMap { name -> KeptTerminal? in
            let id = String(name.dropLast(Self.suffix.count))
            do throws(Errno) {
                let socket = try open(id)
                return try look(socket.raw)
            } catch {
                if error == .connectionRefused { remove(id) }
                return nil
            }
        }
        return found.sorted { ($0.pid, $0.id) < ($1.pid, $1.id) }
    }

    private func look(_ socket: Int32) throws(Errno) -> KeptTerminal? {
        try Files.write(socket, TerminalWord(.look).bytes)
        var bytes: [UInt8] = []
        let limit = SystemClock.monotonic.now + Self.patience
        while SystemClock.monotonic.now < limit {
            if let word = try TerminalWord.take(from: &bytes) { return KeptTerminal(word.json) }
            var entries = [Files.PollEntry(socket, .readable)]
            guard try Files.poll(&entries, timeout: 200_000_000, retrying: true) > 0 else { continue }
            let more = try Files.readSome(socket, atMost: 4096)
            if more.isEmpty { return nil }
            bytes += more
        }
        return nil
    }

    /// The one that a user means.
    ///
    /// - Parameter name: the pid of a process that has it, the beginning of its id, or nil for the only one.
    /// - Throws: `terminal-unknown`, which lists those that there are.
    public func find(_ name: String?) throws(Problem) -> KeptTerminal {
        let all = try all()
        guard let name else {
            if all.count == 1, let only = all.first { return only }
            throw Problem(
                .terminalUnknown,
                all.isEmpty ? "no terminal is kept on this host" : "several terminals are kept on this host",
                remedy: all.isEmpty
                    ? "A tree that came with `apus migrate --detach` or `--attach` has one, until it ends"
                    : "Name one: " + Self.list(all))
        }
        if let pid = Int32(name) {
            let device = (try? ProcessDirectory(pid).stat())?.terminal
            let own = all.first { $0.pid == pid || $0.leader == pid }
            if let kept = own ?? all.first(where: { device != nil && $0.device == device }) { return kept }
        }
        let named = all.filter { !name.isEmpty && $0.id.hasPrefix(name) }
        if named.count == 1, let kept = named.first { return kept }
        throw Problem(
            .terminalUnknown, named.isEmpty ? "no terminal is kept of \(name.printable)" : "several terminals begin so",
            remedy: all.isEmpty
                ? "None is kept on this host: the program has ended, or has come without --detach and --attach"
                : "Name one of those that there are: " + Self.list(all))
    }

    private static func list(_ all: [KeptTerminal]) -> String {
        all.map { "\($0.pid) (\($0.name.printable))" }.joined(separator: ", ")
    }
}

extension KeptTerminal {
    /// The device of the slave.
    fileprivate var device: DeviceNumber? { (try? Files.status(of: FilePath(path)))?.representedDevice }
}
