internal import Diagnostics
internal import Linux
internal import NIOCore
internal import SystemPackage

/// Joins what a program reads and writes with a link to another host, until one of them ends. It holds back whoever is faster
/// than the other takes it, and keeps nothing to itself: the end of one side becomes the end of the other.
final class Relay {
    private let link: Link
    /// Where the bytes for the other host come from, and where those that come from there go.
    private let (input, output): (Int32, Int32)
    /// Nobody reads what comes from the other host. What was said here before goes there still.
    private var isUnheard = false

    /// So much is held at the most for either side before its other end is held back.
    private static let mostHeld = 1 << 20
    /// How long what was said last may be on its way.
    private static let lastWords: UInt64 = 10_000_000_000
    /// Not looked at by poll(2).
    private static let nothing: Int32 = -1

    init(_ link: Link, input: Int32, output: Int32) {
        self.link = link
        (self.input, self.output) = (input, output)
    }

    /// - Throws: Errno, an error of TLS: the connection is broken. What has come before that has been passed on.
    func run() throws {
        do {
            for descriptor in [input, output] {
                try Files.setStatusFlags(descriptor, try Files.statusFlags(descriptor).union(.nonBlocking))
                // Sockets have no such thing.
                _ = try? Files.setPipeCapacity(descriptor, 1 << 20)
            }
            try passOn()
            while try step() {}
        } catch {
            // What the other side said before it went may lie there still, and may be its last word about a tree.
            while !link.hasEnded, (try? link.read()) == true {}
            deliver()
            throw error
        }
    }

    /// - Returns: whether it goes on.
    private func step() throws -> Bool {
        let takesInput = link.unsent < Self.mostHeld
        var entries = [
            Files.PollEntry(link.descriptor, link.events(takes: link.incoming.count < Self.mostHeld)),
            Files.PollEntry(takesInput ? input : Self.nothing, .readable),
            Files.PollEntry(link.incoming.count > 0 ? output : Self.nothing, .writable),
        ]
        do throws(Errno) {
            _ = try Files.poll(&entries, timeout: 1_000_000_000)
        } catch {
            if error != .interrupted { throw error }
        }
        if Cancellation.requested { return false }
        if !entries[0].returned.intersection([.readable, .hangUp, .error]).isEmpty { _ = try link.read() }
        try link.flush()
        try passOn()
        if link.hasEnded {
            deliver()
            return false
        }
        guard !entries[1].returned.isEmpty, let bytes = try ByteQueue.read(input) else { return true }
        if bytes.readableBytes == 0 {
            // What the other side says from now on nobody here would hear.
            link.close(until: SystemClock.monotonic.now + Self.lastWords)
            return false
        }
        try link.send(bytes)
        try link.flush()
        return true
    }

    private func passOn() throws(Errno) {
        if isUnheard {
            _ = link.take(link.incoming.count)
            return
        }
        do throws(Errno) { try link.takeIncoming(into: output) } catch {
            guard error == .brokenPipe else { throw error }
            isUnheard = true
        }
    }

    /// What has come before the end goes where it was to go.
    private func deliver() {
        let limit = SystemClock.monotonic.now + Self.lastWords
        while link.incoming.count > 0, !isUnheard, SystemClock.monotonic.now < limit {
            var entries = [Files.PollEntry(output, .writable)]
            _ = try? Files.poll(&entries, timeout: 100_000_000, retrying: true)
            if (try? passOn()) == nil { return }
        }
    }
}
