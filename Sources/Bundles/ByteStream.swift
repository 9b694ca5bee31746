internal import Diagnostics
internal import Linux
internal import SystemPackage

// A bundle is made and read by a chain of stages that hand pieces of bytes on: tar, compression, encryption, a file.

/// Takes bytes, piece by piece.
protocol ByteSink: AnyObject {
    func write(_ bytes: [UInt8]) throws(Problem)
    /// Writes what was held back. Nothing may be written behind it.
    func finish() throws(Problem)
}

/// Gives bytes, piece by piece.
protocol ByteSource: AnyObject {
    /// The next piece, of any size; empty at the end, and then always.
    func next() throws(Problem) -> [UInt8]
}

/// The size of the pieces that are made here.
let pieceSize = 256 << 10

/// Writes to a descriptor that the caller keeps.
final class DescriptorSink: ByteSink {
    private let descriptor: Int32
    private let name: String
    private let isFile: Bool

    init(_ descriptor: Int32, named name: String, isFile: Bool) {
        self.descriptor = descriptor
        self.name = name
        self.isFile = isFile
    }

    func write(_ bytes: [UInt8]) throws(Problem) {
        try Cancellation.check()
        do throws(Errno) {
            if isFile { return try Files.write(descriptor, bytes) }
        } catch {
            throw .unwritable(name, error, attempted: "write")
        }
        var done = 0
        while done < bytes.count {
            try waitForRoom()
            // What fits into one page of a pipe never blocks once there is room, so that a wish to stop is heard.
            let piece = Array(bytes[done..<min(done + 4096, bytes.count)])
            do throws(Errno) { try Files.write(descriptor, piece) } catch { throw unread(error) }
            done += piece.count
        }
    }

    func finish() throws(Problem) {}

    private func waitForRoom() throws(Problem) {
        while true {
            try Cancellation.check()
            var entries = [Files.PollEntry(descriptor, .writable)]
            do throws(Errno) {
                if try Files.poll(&entries, timeout: 200_000_000) > 0 { return }
            } catch {
                if error != .interrupted { throw .unwritable(name, error, attempted: "poll") }
            }
        }
    }

    /// Waits until whoever reads the pipe has taken all of it out.
    func drain() throws(Problem) {
        while let left = try? Files.readableBytes(descriptor), left > 0 {
            try Cancellation.check()
            var entries = [Files.PollEntry(descriptor, [])]
            _ = try? Files.poll(&entries, timeout: 2_000_000)
            let isGone = entries[0].returned.contains(.error)
            if isGone, let left = try? Files.readableBytes(descriptor), left > 0 { throw unread(.brokenPipe) }
        }
    }

    private func unread(_ error: Errno) -> Problem {
        guard error == .brokenPipe else { return .unwritable(name, error, attempted: "write") }
        return Problem(
            .bundleUnwritable, "whoever was to read the bundle has gone before its end", object: .init(path: name),
            cause: .init(error, attempted: "write"), remedy: "See what the reading program says")
    }
}

/// Reads from a descriptor that the caller keeps.
final class DescriptorSource: ByteSource {
    private let descriptor: Int32
    private let name: String

    init(_ descriptor: Int32, named name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    func next() throws(Problem) -> [UInt8] {
        while true {
            try Cancellation.check()
            do throws(Errno) {
                return try Files.readSome(descriptor, atMost: pieceSize, retrying: false)
            } catch {
                if error != .interrupted { throw .unreadable(name, error, attempted: "read") }
            }
        }
    }
}

/// A source of which the first bytes have been looked at.
final class PeekedSource: ByteSource {
    private let rest: any ByteSource
    private var held: [UInt8] = []

    init(_ source: any ByteSource) { rest = source }

    /// Up to so many of the first bytes: fewer only where there are no more.
    func first(_ count: Int) throws(Problem) -> [UInt8] {
        while held.count < count {
            let more = try rest.next()
            if more.isEmpty { break }
            held += more
        }
        return Array(held.prefix(count))
    }

    func next() throws(Problem) -> [UInt8] {
        if held.isEmpty { return try rest.next() }
        defer { held = [] }
        return held
    }
}

/// Takes a source apart into what is wanted of it.
final class ByteCursor {
    private let source: any ByteSource
    private var piece: [UInt8] = []
    private var place = 0

    init(_ source: any ByteSource) { self.source = source }

    /// At most so many bytes, at least one; empty at the end.
    func some(atMost count: Int) throws(Problem) -> [UInt8] {
        if place == piece.count {
            piece = try source.next()
            place = 0
        }
        let end = min(piece.count, place + count)
        defer { place = end }
        return place == 0 && end == piece.count ? piece : Array(piece[place..<end])
    }

    /// So many bytes; fewer at the end.
    func upTo(_ count: Int) throws(Problem) -> [UInt8] {
        var bytes = try some(atMost: count)
        while bytes.count < count {
            let more = try some(atMost: count - bytes.count)
            if more.isEmpty { break }
            bytes += more
        }
        return bytes
    }

    /// So many bytes.
    ///
    /// - Throws: `bundle-truncated` where there are fewer.
    func exactly(_ count: Int) throws(Problem) -> [UInt8] {
        let bytes = try upTo(count)
        if bytes.count < count { throw .truncated() }
        return bytes
    }
}
