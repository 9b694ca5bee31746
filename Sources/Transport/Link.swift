internal import Diagnostics
internal import Linux
internal import NIOCore
internal import SystemPackage

/// A socket that leads to the other host, with TLS over it or, on one host, without.
final class Link {
    private let socket: OwnedDescriptor
    private let tls: TLSChannel?
    /// What is yet to be written to the socket, and what has come and has not been taken.
    private var outgoing = ByteQueue()
    private(set) var incoming = ByteQueue()
    /// Nothing more comes from the other side.
    private(set) var hasEnded = false

    var descriptor: Int32 { socket.raw }
    /// How many bytes wait to be written.
    var unsent: Int { outgoing.count }
    var isEstablished: Bool { tls?.isEstablished ?? true }
    var peer: PeerCertificate? { tls?.peer }
    var refusal: Problem? { tls?.refusal }

    /// - Throws: EBADF and others of fcntl(2).
    init(_ socket: consuming OwnedDescriptor, _ tls: TLSChannel?) throws(Errno) {
        self.socket = socket
        self.tls = tls
        try Files.setStatusFlags(self.socket.raw, try Files.statusFlags(self.socket.raw).union(.nonBlocking))
        if tls != nil { Self.setLimits(self.socket.raw) }
        drain()
    }

    /// A peer that has gone without a word is missed in some 20 seconds, whatever is on its way (tcp(7)).
    private static func setLimits(_ socket: Int32) {
        let (noDelay, idle, interval, count, userTimeout): (Int32, Int32, Int32, Int32, Int32) = (1, 4, 5, 6, 18)
        try? Sockets.set(socket, .keepAlive, to: 1)
        for (option, value) in [(noDelay, Int32(1)), (idle, 5), (interval, 5), (count, 3), (userTimeout, 20_000)] {
            try? Sockets.set(socket, option, level: Sockets.tcpLevel, to: value)
        }
    }

    /// The events to wait for.
    ///
    /// - Parameter takes: whether more may come.
    func events(takes: Bool) -> Files.PollEvents {
        var events: Files.PollEvents = []
        if takes && !hasEnded { events.insert(.readable) }
        if outgoing.count > 0 { events.insert(.writable) }
        return events
    }

    /// Reads once what has come.
    ///
    /// - Returns: whether anything has.
    /// - Throws: Errno, or an error of TLS; what the other side is to hear of it is still to be flushed.
    func read() throws -> Bool {
        guard let bytes = try ByteQueue.read(socket.raw) else { return false }
        if bytes.readableBytes == 0 {
            hasEnded = true
            return false
        }
        guard let tls else {
            incoming.append(bytes)
            return true
        }
        defer { drain() }
        try tls.receive(bytes)
        if tls.isOver { hasEnded = true }
        return true
    }

    /// Takes what the other side is to hear.
    func send(_ bytes: ByteBuffer) throws {
        guard let tls else {
            outgoing.append(bytes)
            return
        }
        try tls.send(bytes)
        drain()
    }

    private func drain() {
        while let bytes = tls?.nextOutgoing() { outgoing.append(bytes) }
        while let bytes = tls?.nextIncoming() { incoming.append(bytes) }
    }

    /// Writes what the socket takes now.
    func flush() throws(Errno) { try outgoing.write(to: socket.raw) }

    /// Takes what has come.
    func takeIncoming(into descriptor: Int32) throws(Errno) { try incoming.write(to: descriptor) }

    /// Takes so many bytes of what has come; nil until they are there.
    func take(_ count: Int) -> [UInt8]? { incoming.take(count) }

    /// Says that nothing more comes, and waits for a while until the other side can have heard it.
    ///
    /// - Parameter limit: until when, on the monotonic clock.
    func close(until limit: UInt64) {
        tls?.close()
        drain()
        while unsent > 0, SystemClock.monotonic.now < limit {
            do {
                try flush()
                var entries = [Files.PollEntry(descriptor, .writable)]
                if unsent > 0 { _ = try Files.poll(&entries, timeout: 100_000_000, retrying: true) }
            } catch {
                return
            }
        }
        try? Sockets.shutDown(descriptor, 1)
        // What has been sent is thrown away by the kernel where something that was not read is thrown away: it would answer with
        // a reset.
        var taken = 0
        while SystemClock.monotonic.now < limit, taken < 1 << 20 {
            var entries = [Files.PollEntry(descriptor, .readable)]
            guard let ready = try? Files.poll(&entries, timeout: 100_000_000, retrying: true) else { return }
            if ready == 0 { continue }
            guard let bytes = try? Files.readSome(descriptor, atMost: 64 << 10), !bytes.isEmpty else { return }
            taken += bytes.count
        }
    }
}
