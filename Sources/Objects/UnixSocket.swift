public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A Unix socket (unix(7)): streams, datagrams and sequenced packets, with what is queued in them.
public enum UnixSocket: DescriptionKind {
    public static let name = "Unix socket"

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.socket?.domain == Sockets.unix }

    public static func doubt(about seen: SeenDescriptor) -> String? {
        "every descriptor that is under way in a Unix socket (SCM_RIGHTS) is of a kind that can be carried"
    }

    // MARK: What stands in the way

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        let table = circumstances.sockets
        if isLeftOutside(seen, circumstances) { return obstacle(toOutside: seen, circumstances) }
        if let problem = table.outside(seen) { return problem }
        if JournalStream.recognises(seen, circumstances) { return nil }
        // Closed since: a look at the frozen tree will show all that is left.
        guard let report = table.report(of: seen) else { return nil }
        do throws(Problem) {
            _ = try UnixSocketFile(seen, report)
        } catch {
            return error
        }
        if report.state == .listening { return obstacle(toListening: seen, report, circumstances) }
        if let listener = table.connecting[report.inode] {
            return table.held.contains(UInt64(listener))
                ? EarlyMessages.obstacle(toClient: seen, circumstances) : leadsOutside(seen, listener, table)
        }
        guard let peer = report.peer, peer != 0, !table.held.contains(UInt64(peer)) else { return nil }
        // One that no process has open is on its way in a message: the frozen tree will show whether in one of its own.
        if table.outside[UInt64(peer)] == nil && report.type != Sockets.datagram { return nil }
        if report.type == Sockets.datagram, circumstances.externalUnixSockets, table.unix[peer]?.name != nil {
            return nil
        }
        return leadsOutside(seen, peer, table)
    }

    private static func obstacle(
        toListening seen: SeenDescriptor, _ report: UnixSocketReport, _ circumstances: Circumstances
    ) -> Problem? {
        let table = circumstances.sockets
        guard let client = report.waiting.first(where: { $0 != 0 && !table.held.contains(UInt64($0)) }) else {
            return EarlyMessages.obstacle(toListening: seen, report, circumstances)
        }
        let holder = table.outside[UInt64(client)].map(SocketTable.describe) ?? "nobody that can be found"
        return Problem(
            .underWay, "a connection that waits to be accepted comes from outside of the tree (\(holder))",
            object: seen.object, remedy: "Dump again when the process has served it, or dump both")
    }

    static func leadsOutside(_ seen: SeenDescriptor, _ peer: UInt32, _ table: SocketTable) -> Problem {
        let name = table.unix[peer]?.name.map { ", \(UnixSocketFile.text($0))" } ?? ""
        let holder = table.outside[UInt64(peer)].map { " It is open in \(SocketTable.describe($0))" } ?? ""
        return Problem(
            .leadsOutside, "the socket is connected to one outside of the tree (inode \(peer)\(name)).\(holder)",
            object: seen.object, remedy: JournalStream.remedy(for: seen, table.unix[peer]))
    }

    // MARK: The dump

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let table = descriptions.circumstances.sockets
        let own = try descriptions.open(seen)
        guard let report = table.report(of: seen) else {
            throw descriptions.unreadable(seen, .noSuchFileOrDirectory, "a question to NETLINK_SOCK_DIAG")
        }
        let id = descriptions.nextID()
        var socket = UnixSkEntry()
        socket.id = id
        socket.ino = report.inode
        socket.type = UInt32(bitPattern: report.type)
        socket.state = UInt32(report.state.rawValue)
        socket.flags = seen.descriptionFlags
        socket.uflags = 0
        socket.backlog = report.sendQueue
        let isLog = JournalStream.recognises(seen, descriptions.circumstances)
        let peer = isLog ? 0 : table.connecting[report.inode] ?? report.peer ?? 0
        socket.peer = peer
        socket.fown = try descriptions.owner(of: seen, through: own.raw)
        do throws(Errno) {
            socket.opts = try SocketOptions.capture(own.raw, isUnix: true)
        } catch {
            throw descriptions.unreadable(seen, error, "getsockopt")
        }
        socket.nameBytes = report.name ?? []
        if report.shutdown != 0, let shutdown = SkShutdown(rawValue: Int(report.shutdown)) {
            socket.shutdown = shutdown
        }
        socket.nsID = networkNamespace
        try UnixSocketFile(seen, report)?.add(to: &socket)
        add(socket, to: descriptions)
        if leaveOutside(seen, report.inode, descriptions) { return DescriptionKey(.unixsk, id) }
        var supplement = try descriptions.supplement(seen, id, through: own.raw)
        if isLog { supplement.journal = Array(seen.process.utf8) }
        if let listener = table.connecting[report.inode] {
            try descriptions.noteEarly(seen, through: own.raw, at: table.unix[listener], &supplement)
        }
        if report.state == .listening { try descriptions.noteLeavers(seen, through: own.raw, report, &supplement) }
        descriptions.supplement[.socket, id] = supplement.json
        descriptions.sockets.supplements[id] = supplement
        if peer != 0, peer == report.peer { try expect(peer, of: seen, descriptions) }
        descriptions.sockets.unix[report.inode] = id
        descriptions.sockets.unread.append((seen, id))
        return DescriptionKey(.unixsk, id)
    }

    /// The number that images give to the one network namespace, that of Apus.
    private static let networkNamespace: UInt32 = 2

    private static func add(_ socket: UnixSkEntry, to descriptions: Descriptions) {
        var entry = FileEntry()
        entry.type = .unixsk
        entry.id = socket.id
        entry.usk = socket
        descriptions.add(entry)
    }

    /// The other end has to come along; a service outside is remembered by its name.
    private static func expect(
        _ peer: UInt32, of seen: SeenDescriptor, _ descriptions: Descriptions
    ) throws(Problem) {
        let table = descriptions.circumstances.sockets
        guard descriptions.circumstances.externalUnixSockets, !table.held.contains(UInt64(peer)),
            let report = table.unix[peer], report.type == Sockets.datagram, let name = report.name
        else { return descriptions.sockets.expected.append((peer, seen)) }
        guard descriptions.sockets.external.insert(peer).inserted else { return }
        var socket = UnixSkEntry()
        socket.id = descriptions.nextID()
        socket.ino = peer
        socket.type = UInt32(bitPattern: report.type)
        socket.state = UInt32(UnixSocketReport.State.unconnected.rawValue)
        socket.flags = 0
        socket.uflags = UnixSocketImages.external
        socket.backlog = 0
        socket.peer = 0
        socket.fown = FileOwner.none
        let own = try descriptions.open(seen)
        do throws(Errno) { socket.opts = try SocketOptions.capture(own.raw, isUnix: true) } catch {
            throw descriptions.unreadable(seen, error, "getsockopt")
        }
        socket.nameBytes = name
        socket.nsID = networkNamespace
        add(socket, to: descriptions)
    }
}
