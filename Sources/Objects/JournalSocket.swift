internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Unix sockets whose other end is a service outside of the tree: what users are told about them, and streams to the journal
/// of systemd, which are connected anew with `--ext-unix-sk`. (`OutsideSocket` has those that `--external` names.)
enum JournalSocket {
    /// Where the journal takes the output of services (systemd-journald.service(8)).
    static let journal = "/run/systemd/journal/stdout"

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
        LeftOutside.remedy(
            dump: "unix[\(seen.status.inode)]",
            restore: UnixSocket.restoreKey(UInt32(truncatingIfNeeded: seen.status.inode)))
    }

    /// The same refusal, with what can be done about a Unix socket.
    static func withRemedy(_ problem: Problem, _ seen: SeenDescriptor) -> Problem {
        Problem(
            problem.code, problem.summary, object: problem.object, cause: problem.cause,
            remedy: "\(problem.remedy). \(leaving(seen))")
    }

    /// What to do about a socket that leads to a name outside, in words.
    static func remedy(for seen: SeenDescriptor, _ report: UnixSocketReport?) -> String {
        let leave = leaving(seen)
        let name = UnixSocketFile.text(report?.name ?? [])
        if isJournal(report?.name) {
            return
                "This is the output of a service, which goes to the journal: dump with --ext-unix-sk, which connects it"
                + " anew. \(leave)"
        }
        if name.hasPrefix("/run/systemd/journal/") {
            return "This is the log of the system: dump with --ext-unix-sk, which connects it anew"
        }
        if name.hasSuffix("/bus") || name.contains("dbus") {
            return
                "This is a connection to D-Bus, which knows the process by it: have the program close it before the dump. "
                + leave
        }
        if report?.type == Sockets.datagram, report?.name != nil {
            return "Where it is a service that the restored process can be connected to anew, dump with --ext-unix-sk;"
                + " else dump the tree that has both ends, or close the connection. \(leave)"
        }
        return "Dump the tree that has both ends, or close the connection before the dump. \(leave)"
    }

    // MARK: The restore

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
    /// Connects a socket to the journal anew, if that is where it led to.
    ///
    /// - Returns: whether it is.
    func connectToJournal(_ entry: UnixSkEntry) throws(Problem) -> Bool {
        guard let identifier = supplement(of: entry).journal else { return false }
        let socket = try attempt(entry, "be connected to the journal (\(JournalSocket.journal))") {
            () throws(Errno) in
            let socket = try Sockets.make(Sockets.unix, Sockets.stream)
            try JournalSocket.connectToJournal(socket.raw, as: identifier)
            return socket
        }
        made[entry.ino] = SharedFile(socket)
        return true
    }
}
