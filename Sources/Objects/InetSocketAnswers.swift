internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What a socket of TCP or UDP tells of itself outside of repair mode: about a hundred options. Nothing of it changes while the
/// tree stands still, so that it may be asked ahead, and of several sockets at a time.
struct InetSocketAnswers: Sendable {
    /// Without an id.
    let entry: InetSkEntry
    let supplement: SocketSupplement

    /// - Parameter descriptor: a copy of the socket.
    /// - Throws: `object-unreadable`.
    init(
        _ seen: SeenDescriptor, through descriptor: Int32, _ sockets: SocketTable, _ defaults: SocketDefaults
    ) throws(Problem) {
        var entry = try InetSkEntry(seen, through: descriptor)
        do throws(Errno) {
            try InetSocket.fill(&entry, from: descriptor, try InetSocket.peer(of: descriptor, seen, sockets))
            guard let identity = seen.socket else { throw .badFileDescriptor }
            supplement = try SocketSupplement(of: descriptor, identity, try defaults.usual(for: identity))
        } catch {
            throw seen.unreadable(error, "getsockopt, getsockname")
        }
        self.entry = entry
    }
}

extension Descriptions {
    /// Asks the sockets of TCP and UDP among descriptors on all processors, ahead of `capture`, which asks one by one what has
    /// not been asked yet: a server may have ten thousand.
    public func askAhead(_ descriptors: [SeenDescriptor]) {
        var sockets: [(seen: SeenDescriptor, held: Int32?, handle: Int32)] = []
        for seen in descriptors where InetSocket.recognises(seen) && answers[seen.status.inode] == nil {
            // What cannot be opened is told of by `capture`.
            guard let handle = try? handle(of: seen.pid) else { continue }
            sockets.append((seen, connections?.socket(of: seen.status.inode), handle))
        }
        let (asked, table, defaults) = (sockets, circumstances.sockets, socketDefaults)
        let answered = Workers.map(asked.count) { index in
            Result { () throws(Problem) in
                let (seen, held, handle) = asked[index]
                if let held { return try InetSocketAnswers(seen, through: held, table, defaults) }
                let copy = try seen.copy(through: handle)
                return try InetSocketAnswers(seen, through: copy.raw, table, defaults)
            }
        }
        for (socket, answer) in zip(asked, answered) { answers[socket.seen.status.inode] = answer }
    }

    /// What a socket has told already, or tells now.
    func answers(of seen: SeenDescriptor) throws(Problem) -> InetSocketAnswers {
        if let known = answers[seen.status.inode] { return try known.get() }
        return try withSocket(seen) { (socket) throws(Problem) in
            try InetSocketAnswers(seen, through: socket, circumstances.sockets, socketDefaults)
        }
    }

    /// Uses a copy of a socket: that of a connection which is held already, or a new one.
    func withSocket<R>(_ seen: SeenDescriptor, _ body: (Int32) throws(Problem) -> R) throws(Problem) -> R {
        if let held = connections?.socket(of: seen.status.inode) { return try body(held) }
        let own = try open(seen)
        return try body(own.raw)
    }
}
