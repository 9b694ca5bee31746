internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What becomes of TCP connections.
public enum ConnectionPolicy: Sendable {
    /// They are a reason to refuse.
    case refused
    /// They are carried (`--tcp-established`).
    case carried
    /// They come back closed (`--tcp-close`).
    case closed
}

extension InetSocket {
    /// IPPROTO_MPTCP.
    static let multipath: Int32 = 262

    /// Why a socket cannot be carried that signs its segments: by keys that the kernel gives to nobody.
    static func signatureObstacle(
        _ seen: SeenDescriptor, _ socket: Int32, _ circumstances: Circumstances
    ) -> Problem? {
        let hasKeys = circumstances.sockets.connection(of: seen)?.signs == true
        guard hasKeys || Sockets.hasAuthentication(socket) else { return nil }
        return Problem(
            .unsupported,
            "the TCP socket signs its segments (\(hasKeys ? "TCP-MD5" : "TCP-AO")) by keys that nobody can read",
            object: seen.object,
            remedy: "Have the program close it before the dump, and open it anew afterwards (BGP routers do)")
    }

    /// Why a connection cannot be carried, where it cannot.
    static func connectionObstacle(
        _ seen: SeenDescriptor, _ socket: Int32, _ state: TCPState, _ circumstances: Circumstances
    ) -> Problem? {
        if state.number == listening { return nil }
        if state.number == closed {
            guard circumstances.connections != .closed, let unread = try? Files.readableBytes(socket), unread > 0
            else { return nil }
            return Problem(
                .unsupported, "a closed TCP connection holds \(unread) bytes that were not read", object: seen.object,
                remedy: "Dump again when the process has read them, or give --tcp-close, which loses them")
        }
        guard TCPState.alive.contains(state.number) else {
            return Problem(
                .underWay, "a TCP connection is being made by fast open", object: seen.object,
                remedy: "Dump again when the other end has answered")
        }
        switch circumstances.connections {
        case .closed: return nil
        case .refused:
            return Problem(
                .unsupported, "a TCP connection (\(peer(of: seen)))", object: seen.object,
                remedy: "Give --tcp-established to carry it on, or --tcp-close to have it closed after the restore;"
                    + " both to the restore too")
        case .carried:
            if state.number == TCPState.connecting, circumstances.sockets.connection(of: seen) == nil {
                return Problem(
                    .underWay, "a TCP connection is being made, and the kernel does not tell to whom",
                    object: seen.object,
                    remedy: "Dump again when it is made; or the kernel needs CONFIG_INET_TCP_DIAG (modprobe tcp_diag)")
            }
            return hindrance(socket, seen)
        }
    }

    /// What keeps a connection from being carried.
    private static func hindrance(_ socket: Int32, _ seen: SeenDescriptor) -> Problem? {
        let upper = (try? Sockets.bytes(of: socket, Sockets.TCPOption.upperProtocol, level: tcp, atMost: 16)) ?? []
        if let problem = hindrance(upper: upper, seen.object) { return problem }
        var events = [Files.PollEntry(socket, .priority)]
        if (try? Files.poll(&events, timeout: 0)) != nil, events[0].returned.contains(.priority) {
            return Problem(
                .underWay, "urgent data of the TCP connection was not read", object: seen.object,
                remedy: "Dump again when the process has read it")
        }
        guard (try? Sockets.number(of: socket, .zeroCopy)) == 1 else { return nil }
        let open = (try? Sockets.unacknowledged(socket)) ?? 0
        if open == 0 && !events[0].returned.contains(.error) { return nil }
        return Problem(
            .underWay, "the TCP connection sends memory of the process (MSG_ZEROCOPY) that it has not been given back",
            object: seen.object, remedy: "Dump again when the process has sent all and heard of it")
    }

    /// - Parameter upper: the name of the protocol that the kernel speaks on it (TCP_ULP), with zeros behind it.
    static func hindrance(upper: [UInt8], _ object: Problem.Object) -> Problem? {
        guard let first = upper.first, first != 0 else { return nil }
        let name = String(decoding: upper.prefix { $0 != 0 }, as: UTF8.self)
        return Problem(
            .unsupported, "the kernel works at the TCP connection (\(name)): encryption cannot be carried",
            object: object, remedy: "Run the program without kernel TLS, or give --tcp-close, which ends the connection"
        )
    }

    /// Connections that the dump breaks off, in words.
    static func waitingConnections(_ seen: SeenDescriptor, _ socket: Int32) -> String? {
        guard let state = try? TCPState(socket), state.number == listening, state.waiting > 0 else { return nil }
        return "\(state.waiting) TCP connections wait to be accepted at descriptor \(seen.number), and are broken off"
            + " (--skip-in-flight)"
    }

    /// Whether the program has heard that no more is to be read: the end of the other side, or its own wish.
    private static func isShutForReading(_ socket: Int32) throws(Errno) -> Bool {
        var entries = [Files.PollEntry(socket, .peerClosed)]
        _ = try Files.poll(&entries, timeout: 0)
        return entries[0].returned.contains(.peerClosed)
    }

    /// Records what goes beyond a socket without a connection.
    static func captureConnection(
        _ socket: inout InetSkEntry, _ seen: SeenDescriptor, _ descriptor: Int32, into descriptions: Descriptions
    ) throws(Errno) {
        guard socket.proto == UInt32(tcp), socket.state != listening else { return }
        let shut = try isShutForReading(descriptor)
        if socket.state == closed {
            // What has been closed by both ends looks otherwise than what has never been used.
            if shut { socket.shutdown = .both }
            return
        }
        if descriptions.circumstances.connections == .closed {
            descriptions.note(
                loss: "\(seen.object.description): the TCP connection (\(peer(of: seen))) comes back closed"
                    + " (--tcp-close)")
            socket.state = closed
            socket.shutdown = .both
            return
        }
        let state = try TCPState(descriptor)
        socket.state = state.number
        let hasEnded = TCPState.hasSentEnd(state.number)
        if shut || hasEnded { socket.shutdown = shut && hasEnded ? .both : shut ? .read : .write }
        var stream = try TCPStreamCapture(descriptor, state)
        let number = state.number
        let completed = try descriptions.connections?.withRepair(seen.status.inode) {
            (held: Int32) throws(Errno) -> TCPStreamCapture in
            var copy = stream
            try copy.complete(held, number)
            return copy
        }
        // One that came into being since the tree stands still: there is none.
        guard let completed else { throw .badFileDescriptor }
        stream = completed
        descriptions.sockets.streams.append((socket.ino, stream.entry, stream.received + stream.sent))
    }
}
