internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Unix sockets whose other end is outside of the tree, and that are carried all the same because the user says how.
///
/// - `--external 'unix[N]'`, N being the inode of the socket or of its other end: it comes back as what the restore is given
///   in its place (`--inherit-fd 'fd[M]:socket:[N]'`), or else as one whose other end is closed.
/// - `--ext-unix-sk`: a stream to the journal of systemd is connected anew, and datagram sockets to services.
enum ExternalUnixSocket {
    /// Where the journal takes the output of services (systemd-journald.service(8)).
    static let journal = "/run/systemd/journal/stdout"

    static func isNamed(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> Bool {
        guard !circumstances.external.isEmpty, let own = UInt32(exactly: seen.status.inode) else { return false }
        let table = circumstances.sockets
        return [own, table.unix[own]?.peer ?? 0, table.connecting[own] ?? 0].contains {
            $0 != 0 && circumstances.external.contains("unix[\($0)]")
        }
    }

    /// Whether it is a stream to the journal that may be connected anew.
    static func leadsToJournal(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> Bool {
        let table = circumstances.sockets
        guard circumstances.externalUnixSockets, let report = table.report(of: seen), report.type == Sockets.stream,
            let peer = report.peer, !table.held.contains(UInt64(peer))
        else { return false }
        return isJournal(table.unix[peer]?.name)
    }

    private static func isJournal(_ name: [UInt8]?) -> Bool {
        name.map { $0.prefix { $0 != 0 }.elementsEqual(journal.utf8) } ?? false
    }

    private static func leaving(_ seen: SeenDescriptor) -> String {
        "leave it outside with --external 'unix[\(seen.status.inode)]' and restore with --inherit-fd"
            + " 'fd[N]:socket:[\(seen.status.inode)]', or without: then its other end is closed"
    }

    /// The same refusal, with what can be done about a Unix socket.
    static func withRemedy(_ problem: Problem, _ seen: SeenDescriptor) -> Problem {
        Problem(
            problem.code, problem.summary, object: problem.object, cause: problem.cause,
            remedy: "\(problem.remedy), or \(leaving(seen))")
    }

    /// What to do about a socket that leads to a name outside, in words.
    static func remedy(for seen: SeenDescriptor, peer: UInt32, _ report: UnixSocketReport?) -> String {
        let leave = leaving(seen)
        let name = UnixSocketFile.text(report?.name ?? [])
        if isJournal(report?.name) {
            return
                "This is the output of a service, which goes to the journal: dump with --ext-unix-sk, which connects it"
                + " anew, or \(leave)"
        }
        if name.hasPrefix("/run/systemd/journal/") {
            return "This is the log of the system: dump with --ext-unix-sk, which connects it anew"
        }
        if name.hasSuffix("/bus") || name.contains("dbus") {
            return
                "This is a connection to D-Bus, which knows the process by it: have the program close it before the dump,"
                + " or \(leave)"
        }
        if report?.type == Sockets.datagram, report?.name != nil {
            return "Where it is a service that the restored process can be connected to anew, dump with --ext-unix-sk;"
                + " else dump the tree that has both ends, close the connection, or \(leave)"
        }
        return "Dump the tree that has both ends, close the connection before the dump, or \(leave)"
    }

    // MARK: The restore

    /// What the restore is given in place of a socket; nil where it is given nothing.
    static func substitute(_ entry: UnixSkEntry, at site: RestoreSite) throws(Problem) -> OwnedDescriptor? {
        for key in keys(entry) { if let given = try site.substitute(for: key) { return given } }
        return nil
    }

    static func isGiven(_ entry: UnixSkEntry, at site: RestoreSite) -> Bool {
        keys(entry).contains { site.inherited[$0] != nil }
    }

    private static func keys(_ entry: UnixSkEntry) -> [String] {
        ["socket:[\(entry.ino)]", "socket[\(entry.ino)]", "unix[\(entry.ino)]"]
    }

    /// Connects a socket to the journal as systemd does for a service.
    ///
    /// - Parameter identifier: as what the lines are logged.
    static func connectToJournal(_ socket: Int32, as identifier: [UInt8]) throws(Errno) {
        try Sockets.connect(socket, [UInt8(Sockets.unix), 0] + Array(journal.utf8) + [0])
        // Identifier, unit, priority (6: info), whether lines may begin with a priority, and whether they go on to syslog,
        // the kernel's log and the console.
        try Sockets.send(socket, SocketMessage(identifier + Array("\n\n6\n1\n0\n0\n0\n".utf8)))
    }
}

extension UnixSocketWorkshop {
    /// Takes what the restore is given in place of a socket, or connects it to the journal anew.
    ///
    /// - Returns: whether there was anything of the kind.
    func takeFromOutside(_ entry: UnixSkEntry, at site: RestoreSite) throws(Problem) -> Bool {
        if let given = try ExternalUnixSocket.substitute(entry, at: site) {
            made[entry.ino] = SharedFile(given)
            standIns.insert(entry.ino)
            return true
        }
        let supplement = supplement(of: entry)
        if supplement.isExternal {
            losses.insert(
                "\(UnixSocketEnd.text(entry)): its other end was outside, and is closed now: --inherit-fd"
                    + " 'fd[N]:socket:[\(entry.ino)]' puts something in its place")
        }
        guard let identifier = supplement.journal else { return false }
        let socket = try attempt(entry, "be connected to the journal (\(ExternalUnixSocket.journal))") {
            () throws(Errno) in
            let socket = try Sockets.make(Sockets.unix, Sockets.stream)
            try ExternalUnixSocket.connectToJournal(socket.raw, as: identifier)
            return socket
        }
        made[entry.ino] = SharedFile(socket)
        return true
    }
}
