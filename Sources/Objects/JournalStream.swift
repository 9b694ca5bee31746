internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A stream to the journal of systemd, where the output of services goes (systemd-journald.service(8)): outside of the
/// tree, and with `--ext-unix-sk` connected anew at the restore. And what can be done about other sockets that lead outside.
enum JournalStream {
    static let path = "/run/systemd/journal/stdout"

    /// Whether it is one that may be connected anew.
    static func recognises(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> Bool {
        let table = circumstances.sockets
        guard circumstances.externalUnixSockets, !UnixSocket.isLeftOutside(seen, circumstances),
            let report = table.report(of: seen), report.type == Sockets.stream, let peer = report.peer,
            !table.held.contains(UInt64(peer))
        else { return false }
        return leadsThere(table.unix[peer])
    }

    private static func leadsThere(_ peer: UnixSocketReport?) -> Bool {
        peer?.name.map { $0.prefix { $0 != 0 }.elementsEqual(path.utf8) } ?? false
    }

    /// What to do about a socket that is connected to one outside, in words.
    static func remedy(for seen: SeenDescriptor, _ peer: UnixSocketReport?) -> String {
        let leave = LeftOutside.remedy(
            dump: "unix[\(seen.status.inode)]", restore: "socket:[\(seen.status.inode)]")
        let name = UnixSocketFile.text(peer?.name ?? [])
        if leadsThere(peer) {
            return
                "This is the output of a service, which goes to the journal: dump with --ext-unix-sk, which connects it"
                + " anew. \(leave)"
        }
        if name.hasPrefix("/run/systemd/journal/") {
            return "This is the log of the system: dump with --ext-unix-sk, which connects it anew. \(leave)"
        }
        if name.hasSuffix("/bus") || name.contains("dbus") {
            return "This is a connection to D-Bus, which knows the process by it: have the program close it before the"
                + " dump. \(leave)"
        }
        let isService = peer?.type == Sockets.datagram && peer?.name != nil
        return "Dump the tree that has both ends, or close the connection before the dump"
            + (isService
                ? ". Where it is a service that the restored process can be connected to anew, allow it with --ext-unix-sk"
                : "") + ". \(leave)"
    }

    /// Connects a socket as systemd does for a service.
    ///
    /// - Parameter identifier: as what the lines are logged.
    static func connect(_ socket: Int32, as identifier: [UInt8]) throws(Errno) {
        try Sockets.connect(socket, [UInt8(Sockets.unix), 0] + Array(path.utf8) + [0])
        // Identifier, unit, priority (6: info), whether lines may begin with a priority, and whether they go on to syslog,
        // the kernel's log and the console.
        try Sockets.send(socket, SocketMessage(identifier + Array("\n\n6\n1\n0\n0\n0\n".utf8)))
    }
}

extension UnixSocketWorkshop {
    /// Connects a socket to the journal anew, if it was connected to that.
    func connectToJournal(_ entry: UnixSkEntry) throws(Problem) -> Bool {
        guard let identifier = supplement(of: entry).journal else { return false }
        let socket = try attempt(entry, "be connected to the journal (\(JournalStream.path))") { () throws(Errno) in
            let socket = try Sockets.make(Sockets.unix, Sockets.stream)
            try JournalStream.connect(socket.raw, as: identifier)
            return socket
        }
        made[entry.ino] = SharedDescriptor(socket)
        return true
    }
}
