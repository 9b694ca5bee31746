internal import Diagnostics
internal import Images
internal import Linux

/// How a Unix socket of the images comes to be what it was. Pure: it depends on the images alone.
enum UnixSocketRole: Hashable {
    /// By itself: made, bound where it has a name, connected later where it is a datagram socket.
    case alone
    case listening
    /// Connected to a listening socket, and not accepted yet.
    case connecting(listener: UInt32)
    /// Made together with another, by inode.
    case pair(UInt32)
    /// The end of a connection that has the name of the socket through which it was accepted, and the other end.
    case accepted(client: UInt32)
    case client(server: UInt32)
    /// The other end is closed.
    case orphan

    init(_ entry: UnixSkEntry, in all: UnixSocketImages) throws(Problem) {
        guard let state = UnixSocketReport.State(rawValue: UInt8(clamping: entry.state)),
            [Sockets.stream, Sockets.datagram, Sockets.sequencedPackets].contains(Int32(bitPattern: entry.type)),
            entry.nameBytes.count <= 108
        else { throw Self.invalid(entry, "is of type \(entry.type) and in state \(entry.state)") }
        if entry.type == UInt32(bitPattern: Sockets.datagram) {
            self = try Self.datagram(entry, in: all)
            return
        }
        switch state {
        case .listening: self = .listening
        case .unconnected: self = .alone
        case .connected: self = try Self.connected(entry, in: all)
        }
    }

    private static func connected(_ entry: UnixSkEntry, in all: UnixSocketImages) throws(Problem) -> UnixSocketRole {
        if entry.peer == 0 { return .orphan }
        guard let peer = all.sockets[entry.peer], peer.type == entry.type else {
            throw invalid(entry, "is connected to a socket (inode \(entry.peer)) that is not in the images")
        }
        if peer.state == UInt32(UnixSocketReport.State.listening.rawValue) { return .connecting(listener: peer.ino) }
        guard peer.peer == entry.ino else {
            throw invalid(entry, "is connected to a socket that is connected to another (inode \(peer.peer))")
        }
        if entry.nameBytes.isEmpty && peer.nameBytes.isEmpty { return .pair(peer.ino) }
        // Accepted sockets have the name of the one that they came through. Where both have names, the one that a
        // listening socket has as well is the accepted one's.
        let isServer =
            entry.nameBytes.isEmpty || peer.nameBytes.isEmpty
            ? !entry.nameBytes.isEmpty
            : all.listener(named: entry.nameBytes, type: entry.type) != nil
                || (all.listener(named: peer.nameBytes, type: entry.type) == nil && entry.ino > peer.ino)
        return isServer ? .accepted(client: peer.ino) : .client(server: peer.ino)
    }

    /// Datagram sockets connect in one direction. One without a name has got its first peer by socketpair(2).
    private static func datagram(_ entry: UnixSkEntry, in all: UnixSocketImages) throws(Problem) -> UnixSocketRole {
        if entry.peer != 0 {
            guard let peer = all.sockets[entry.peer], peer.type == entry.type else {
                throw invalid(entry, "is connected to a socket (inode \(entry.peer)) that is not in the images")
            }
            if peer.nameBytes.isEmpty { return .pair(peer.ino) }
        }
        if entry.nameBytes.isEmpty, let sender = all.connected[entry.ino]?.first { return .pair(sender) }
        return entry.nameBytes.isEmpty && all.packets[entry.id] != nil ? .orphan : .alone
    }

    static func invalid(_ entry: UnixSkEntry, _ what: String) -> Problem {
        Problem(
            .objectUnsupported, "the Unix socket of the images with id \(entry.id) \(what)",
            remedy: "Dump the tree with both ends; where the images were complete, copy them again")
    }
}
