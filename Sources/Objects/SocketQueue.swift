internal import Linux
internal import SystemPackage

/// What is queued in a Unix socket, read without taking anything away.
enum SocketQueue {
    /// More than any datagram of usual size; larger ones are read again.
    private static let usual = 256 << 10
    private static let largest = 64 << 20

    /// - Returns: messages with their bounds; of a stream what was sent together with descriptors apart from the rest.
    static func messages(of socket: Int32, type: Int32) throws(Errno) -> [SocketMessage] {
        if try Sockets.number(of: socket, .accepting) != 0 { return [] }
        // The end of a connection reads like an empty packet.
        let total = type == Sockets.datagram ? nil : try Files.readableBytes(socket)
        if total == 0 { return [] }
        var head: [SocketMessage] = []
        // A look would move an offset that the program has set.
        if try Sockets.number(of: socket, .peekOffset) < 0 {
            guard let first = try peek(socket, usual) else { return [] }
            let isAll = type == Sockets.stream && first.payload.count == total
            if isAll, first.descriptors.isEmpty, first.credentials == nil { return [first] }
            // An empty datagram that has been looked at is passed over behind an offset.
            if type == Sockets.datagram && first.payload.isEmpty { head = [first] } else { close(first) }
        }
        return try head
            + withPeekOffset(socket) { () throws(Errno) in
                try type == Sockets.stream ? stream(socket, total ?? 0) : packets(socket, total)
            }
    }

    /// SO_PEEK_OFF is the socket's own and goes back to what it was.
    private static func withPeekOffset(
        _ socket: Int32, _ body: () throws(Errno) -> [SocketMessage]
    ) throws(Errno) -> [SocketMessage] {
        let before = try Sockets.number(of: socket, .peekOffset)
        try Sockets.set(socket, .peekOffset, to: 0)
        let result = Result(catching: body)
        try Sockets.set(socket, .peekOffset, to: before)
        return try result.get()
    }

    private static func packets(_ socket: Int32, _ total: Int?) throws(Errno) -> [SocketMessage] {
        var found: [SocketMessage] = []
        var offset = 0
        while total.map({ offset < $0 }) ?? true, var next = try peek(socket, usual) {
            if next.isTruncated {
                close(next)
                try Sockets.set(socket, .peekOffset, to: Int32(offset))
                guard let whole = try peek(socket, largest) else { throw .ioError }
                next = whole
            }
            offset += next.payload.count
            found.append(next)
        }
        return found
    }

    private static func stream(_ socket: Int32, _ total: Int) throws(Errno) -> [SocketMessage] {
        var found: [SocketMessage] = []
        var offset = 0
        while offset < total {
            try Sockets.set(socket, .peekOffset, to: Int32(offset))
            guard let next = try peek(socket, total - offset), !next.payload.isEmpty else { throw .ioError }
            offset += next.payload.count
            guard !next.descriptors.isEmpty else {
                found.append(next)
                continue
            }
            let bare = try bytesBefore(descriptorsIn: next, at: offset - next.payload.count, socket)
            if bare > 0 {
                var plain = SocketMessage(Array(next.payload.prefix(bare)))
                plain.credentials = next.credentials
                found.append(plain)
            }
            var rest = next
            rest.payload.removeFirst(bare)
            found.append(rest)
        }
        return found
    }

    /// A reader that takes bytes of several messages at once gets the descriptors of the last: how many bytes before
    /// it were sent without. The last message is the one that does not fit any more where a byte of room is missing.
    private static func bytesBefore(
        descriptorsIn message: SocketMessage, at offset: Int, _ socket: Int32
    ) throws(Errno) -> Int {
        try Sockets.set(socket, .peekOffset, to: Int32(offset))
        do throws(Errno) {
            let before = try Sockets.peek(socket, atMost: message.payload.count - 1, wholePieces: true)
            close(before)
            return before.payload.count
        } catch {
            if error == .badAddress { return 0 }
            throw error
        }
    }

    private static func peek(_ socket: Int32, _ count: Int) throws(Errno) -> SocketMessage? {
        do throws(Errno) {
            return try Sockets.peek(socket, atMost: count)
        } catch {
            // ENOTCONN and EINVAL: a socket that was never connected.
            if error == .resourceTemporarilyUnavailable || error == .socketNotConnected || error == .invalidArgument {
                return nil
            }
            throw error
        }
    }

    private static func close(_ message: SocketMessage) {
        for descriptor in message.descriptors { try? Files.close(descriptor) }
    }
}
