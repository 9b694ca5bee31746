internal import Diagnostics
internal import Linux
internal import NIOCore
internal import SystemPackage

extension Link {
    /// What ends a handshake before its time.
    enum HandshakeFailure: Error {
        /// The time is over.
        case late
        /// The other side has gone.
        case gone
    }

    /// Carries the handshake out.
    ///
    /// - Parameters:
    ///   - limit: until when, on the monotonic clock.
    ///   - hearsAnswer: until the other side has said something, too: only that tells a client that the server takes it.
    /// - Throws: what went wrong; the other side has been told.
    func shakeHands(until limit: UInt64, hearsAnswer: Bool) throws {
        try work(until: limit) { isEstablished && (!hearsAnswer || incoming.count > 0) }
    }

    /// Waits for so many bytes.
    func receive(_ count: Int, until limit: UInt64) throws -> [UInt8] {
        try work(until: limit) { incoming.count >= count }
        return take(count) ?? []
    }

    /// Waits until all has been written.
    func flush(until limit: UInt64) throws { try work(until: limit) { unsent == 0 } }

    /// A text or a file of its length in two bytes and itself.
    func send(sized bytes: [UInt8]) throws {
        try send(ByteBuffer(bytes: [UInt8(bytes.count >> 8 & 0xff), UInt8(bytes.count & 0xff)] + bytes))
    }

    func receiveSized(atMost most: Int, until limit: UInt64) throws -> [UInt8] {
        let size = try receive(2, until: limit)
        let count = Int(size[0]) << 8 | Int(size[1])
        guard count <= most else { throw Errno.messageTooLong }
        return try receive(count, until: limit)
    }

    private func work(until limit: UInt64, _ condition: () -> Bool) throws {
        do {
            try flush()
            while !condition() {
                if hasEnded { throw HandshakeFailure.gone }
                let now = SystemClock.monotonic.now
                if now >= limit || Cancellation.requested { throw HandshakeFailure.late }
                var entries = [Files.PollEntry(descriptor, events(takes: true))]
                do throws(Errno) {
                    _ = try Files.poll(&entries, timeout: min(limit - now, 500_000_000))
                } catch {
                    if error != .interrupted { throw error }
                }
                _ = try read()
                try flush()
            }
        } catch {
            close(until: SystemClock.monotonic.now + 1_000_000_000)
            throw error
        }
    }
}
