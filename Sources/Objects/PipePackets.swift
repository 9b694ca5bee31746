internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What is queued in a pipe in packet mode (O_DIRECT of pipe(2)): each write is a packet, and each read takes one.
struct PipePackets: Sendable, Equatable {
    /// The lengths of the packets, in bytes; empty for a pipe whose content has no bounds.
    var lengths: [Int] = []

    /// What one write makes at the most: what is longer is cut (pipe(2)).
    private static let longest = 4096

    /// Those that images tell of.
    ///
    /// - Throws: `image-unsuitable` where they are not the content.
    init(of pipe: UInt32, in images: CheckpointImages) throws(Problem) {
        guard let told = images.supplement[.pipe, pipe]?["packets"]?.elements else { return }
        lengths = told.compactMap { $0.bits.flatMap { Int(exactly: $0) } }
        let isSound = lengths.count == told.count && lengths.allSatisfy { (1...Self.longest).contains($0) }
        guard isSound, lengths.reduce(0, +) == images.pipes[pipe]?.bytes.count ?? 0 else {
            throw Problem(
                .imageUnsound, "the packets that are queued in pipe \(pipe) are not its content",
                remedy: "Copy the images again, all of them")
        }
    }

    /// Queues bytes in a pipe, by its writing end, which does not block.
    func write(_ bytes: [UInt8], to descriptor: Int32) throws(Errno) {
        if lengths.isEmpty { return try Files.write(descriptor, bytes) }
        try Files.setStatusFlags(descriptor, [.nonBlocking, .direct])
        var begin = 0
        for length in lengths {
            try Files.write(descriptor, Array(bytes[begin..<(begin + length)]))
            begin += length
        }
        try Files.setStatusFlags(descriptor, .nonBlocking)
    }

    /// Looks at what is queued, in copies (tee(2)), and takes nothing away.
    ///
    /// What is a packet shows by what a read of one byte takes: all of it. Bytes without bounds come one by one.
    ///
    /// - Throws: ENOTSUP where packets are mixed with what is none.
    static func queued(
        in descriptor: Int32, capacity: Int, count: Int
    ) throws(Errno) -> (bytes: [UInt8], lengths: [Int]) {
        let whole = try Files.pipe(.nonBlocking)
        let single = try Files.pipe(.nonBlocking)
        for copy in [whole.second.raw, single.second.raw] {
            try Files.setPipeCapacity(copy, capacity)
            if try Files.tee(from: descriptor, to: copy, count: count) != count { throw .ioError }
        }
        var (bytes, lengths): ([UInt8], [Int]) = ([], [])
        while bytes.count < count {
            let piece = try Files.readSome(whole.first.raw, atMost: count)
            let before = try Files.readableBytes(single.first.raw)
            _ = try Files.readSome(single.first.raw, atMost: 1)
            let taken = before - (try Files.readableBytes(single.first.raw))
            if piece.isEmpty { throw .ioError }
            if taken != piece.count {
                // One piece alone, of many reads: nothing in it is a packet.
                if piece.count == count && taken == 1 { return (piece, []) }
                throw .notSupported
            }
            bytes += piece
            lengths.append(piece.count)
        }
        return (bytes, lengths)
    }
}
