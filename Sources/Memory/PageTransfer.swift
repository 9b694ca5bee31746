public import Diagnostics
internal import Images

/// Moves pages from a source to a sink through one buffer that stays in the processor's cache.
public enum PageTransfer {
    /// Large enough that calls do not count, small enough for a second-level cache.
    static let bufferSize = 1 << 20

    /// - Parameters:
    ///   - told: how many bytes have been moved, and how many there are.
    /// - Returns: how many pages were moved.
    @discardableResult
    public static func move(
        from source: some PageSource, to sink: inout some PageSink & ~Copyable,
        told: (UInt64, UInt64) -> Void = { _, _ in }
    ) throws(Problem) -> UInt64 {
        try move(source.runs(), from: source, to: &sink, told: told)
    }

    /// Moves runs that are already known. Those that are not present have no bytes to be moved.
    @discardableResult
    public static func move(
        _ runs: [StoredRun], from source: some PageSource, to sink: inout some PageSink & ~Copyable,
        told: (UInt64, UInt64) -> Void = { _, _ in }
    ) throws(Problem) -> UInt64 {
        let total = runs.reduce(0) { $0 + ($1.flags.contains(.isPresent) ? $1.size : 0) }
        let buffer = Buffer(max(1, min(bufferSize, Int(total))))
        var batch: [StoredRun] = []
        var filled = 0
        var moved: UInt64 = 0
        for run in runs {
            try sink.add(run)
            if !run.flags.contains(.isPresent) { continue }
            var rest = run
            while rest.size > 0 {
                let count = min(rest.size, UInt64(buffer.size - filled))
                batch.append(StoredRun(address: rest.address, size: count, flags: run.flags))
                filled += Int(count)
                rest.address += count
                rest.size -= count
                guard filled == buffer.size else { continue }
                try buffer.move(batch, filled, from: source, to: &sink)
                moved += UInt64(filled)
                told(moved, total)
                (batch, filled) = ([], 0)
                try Cancellation.check()
            }
        }
        if filled > 0 { try buffer.move(batch, filled, from: source, to: &sink) }
        return total / Pagemap.pageSize
    }

    /// Moves runs whose places in a file are known, each to its place. Those that are not present are passed over.
    public static func move(
        _ runs: [PlacedRun], from source: some PageSource, to file: PagesDescriptor,
        told: (UInt64, UInt64) -> Void = { _, _ in }
    ) throws(Problem) {
        let total = runs.reduce(0) { $0 + ($1.run.flags.contains(.isPresent) ? $1.run.size : 0) }
        if total == 0 { return }
        let buffer = Buffer(min(bufferSize, Int(total)))
        var batch: [StoredRun] = []
        var filled = 0
        var position: UInt64 = 0
        var moved: UInt64 = 0
        func flush() throws(Problem) {
            if filled == 0 { return }
            try buffer.move(batch, filled, from: source, to: file, at: position)
            moved += UInt64(filled)
            position += UInt64(filled)
            told(moved, total)
            (batch, filled) = ([], 0)
            try Cancellation.check()
        }
        for placed in runs where placed.run.flags.contains(.isPresent) {
            if position + UInt64(filled) != placed.position {
                try flush()
                position = placed.position
            }
            var rest = placed.run
            while rest.size > 0 {
                let count = min(rest.size, UInt64(buffer.size - filled))
                batch.append(StoredRun(address: rest.address, size: count, flags: rest.flags))
                filled += Int(count)
                rest.address += count
                rest.size -= count
                if filled == buffer.size { try flush() }
            }
        }
        try flush()
    }

    /// Page-aligned memory.
    @safe private final class Buffer {
        let size: Int
        private let memory: UnsafeMutableRawBufferPointer

        init(_ size: Int) {
            self.size = size
            unsafe memory = .allocate(byteCount: size, alignment: 4096)
        }

        deinit { unsafe memory.deallocate() }

        func move(
            _ pieces: [StoredRun], _ count: Int, from source: some PageSource, to sink: inout some PageSink & ~Copyable
        ) throws(Problem) {
            // The pieces fill the first `count` bytes, which are the buffer's own.
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
            try unsafe source.read(pieces, into: part)
            try unsafe sink.take(UnsafeRawBufferPointer(part))
        }

        func move(
            _ pieces: [StoredRun], _ count: Int, from source: some PageSource, to file: PagesDescriptor,
            at position: UInt64
        ) throws(Problem) {
            // The pieces fill the first `count` bytes, which are the buffer's own.
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
            try unsafe source.read(pieces, into: part)
            try unsafe file.write(UnsafeRawBufferPointer(part), at: position)
        }
    }
}
