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
        let runs = try source.runs()
        let total = runs.reduce(0) { $0 + $1.size }
        guard total > 0 else { return 0 }
        let buffer = Buffer(min(bufferSize, Int(total)))
        var batch: [StoredRun] = []
        var filled = 0
        var moved: UInt64 = 0
        for run in runs {
            try sink.add(run)
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
    }
}
