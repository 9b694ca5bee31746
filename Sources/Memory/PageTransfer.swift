public import Diagnostics
internal import Images
internal import Linux
internal import Synchronization

/// Moves pages from a source to a sink through a few buffers that stay in the processor's cache.
///
/// Reading takes a third of the time and writing two, and nothing ties them together but the bytes: what is large is
/// written by a thread of its own, while the next is being read.
public enum PageTransfer {
    /// Large enough that calls do not count, small enough for a second-level cache.
    static let bufferSize = 1 << 20
    /// One that is being read into, one that is being written, and one between them.
    static let bufferCount = 3

    /// Moves runs whose places in a file are known, each to its place. Those that are not present are passed over.
    ///
    /// - Parameters:
    ///   - digest: of the file, made of what goes there.
    ///   - told: how many bytes have been moved, and how many there are.
    public static func move(
        _ runs: [PlacedRun], from source: some PageSource, to sink: some PageSink, and digest: PagesDigest? = nil,
        told: (UInt64, UInt64) -> Void = { _, _ in }
    ) throws(Problem) {
        let portions = Portions(runs, size: bufferSize)
        let total = portions.total
        if total == 0 { return }
        var moved: UInt64 = 0
        /// Reads a portion, and adds it to the digest while it is in the processor's cache.
        func read(_ portion: Portions.Portion, into buffer: Buffer) throws(Problem) {
            try unsafe source.read(portion.pieces, into: buffer.part(portion.size))
            unsafe digest?.add(UnsafeRawBufferPointer(buffer.part(portion.size)), at: portion.position)
        }
        func advance(_ count: Int) throws(Problem) {
            moved += UInt64(count)
            told(moved, total)
            try Cancellation.check()
        }
        guard total > bufferSize, var writer = WriteBehind(to: sink) else {
            let buffer = Buffer(min(bufferSize, Int(total)))
            for portion in portions {
                try read(portion, into: buffer)
                try unsafe sink.write(UnsafeRawBufferPointer(buffer.part(portion.size)), at: portion.position)
                try advance(portion.size)
            }
            return
        }
        do throws(Problem) {
            for portion in portions {
                let buffer = try writer.freeBuffer()
                try read(portion, into: buffer)
                writer.write(buffer, portion.size, at: portion.position)
                try advance(portion.size)
            }
        } catch {
            // What has failed first counts: nothing is written after it.
            _ = writer.finish()
            throw error
        }
        if let failure = writer.finish() { throw failure }
    }

    /// Page-aligned memory, which one thread uses at a time.
    @safe final class Buffer: Sendable {
        // unsafe: allocated once and freed with the last reference; whoever has the buffer has it alone.
        private nonisolated(unsafe) let memory: UnsafeMutableRawBufferPointer

        init(_ size: Int) { unsafe memory = .allocate(byteCount: size, alignment: 4096) }

        deinit { unsafe memory.deallocate() }

        /// The first bytes, which must not outlive the buffer.
        @unsafe func part(_ count: Int) -> UnsafeMutableRawBufferPointer {
            // A portion is never larger than the buffers: the slice checks it.
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
        }
    }

    /// A thread that writes what it is given. (A second one would gain nothing: the kernel lets one at a time write to a file.)
    private struct WriteBehind: ~Copyable {
        private struct Item: Sendable {
            let buffer: Buffer
            let size: Int
            let position: UInt64
        }

        /// What it has in common with the one that reads.
        private final class Pool: Sendable {
            let free = Mutex<[Buffer]>([])
            let isFree = Semaphore(UInt32(PageTransfer.bufferCount))
            /// What is yet to be written; nil is the end.
            let queue = Mutex<[Item?]>([])
            let isFilled = Semaphore()
            let failure = Mutex<Problem?>(nil)

            func add(_ item: Item?) {
                queue.withLock { $0.append(item) }
                isFilled.signal()
            }

            func run(_ sink: some PageSink) {
                while true {
                    isFilled.wait()
                    guard let item = queue.withLock({ $0.removeFirst() }) else { return }
                    if failure.withLock({ $0 == nil }) {
                        do throws(Problem) {
                            try unsafe sink.write(
                                UnsafeRawBufferPointer(item.buffer.part(item.size)), at: item.position)
                        } catch {
                            failure.withLock { [error] in $0 = error }
                        }
                    }
                    free.withLock { $0.append(item.buffer) }
                    isFree.signal()
                }
            }
        }

        private let pool = Pool()
        private var thread: HelperThread?

        /// - Returns: nil where there is no thread to be had.
        init?(to sink: some PageSink) {
            let pool = self.pool
            thread = HelperThread { pool.run(sink) }
            if thread == nil { return nil }
        }

        /// A buffer that nobody uses any more.
        ///
        /// - Throws: what went wrong with the writing of an earlier one.
        func freeBuffer() throws(Problem) -> Buffer {
            pool.isFree.wait()
            if let failure = pool.failure.withLock({ $0 }) { throw failure }
            return pool.free.withLock { $0.popLast() } ?? Buffer(PageTransfer.bufferSize)
        }

        func write(_ buffer: Buffer, _ size: Int, at position: UInt64) {
            pool.add(Item(buffer: buffer, size: size, position: position))
        }

        /// Waits until everything is written.
        ///
        /// - Returns: what went wrong with it.
        mutating func finish() -> Problem? {
            pool.add(nil)
            thread.take()?.join()
            return pool.failure.withLock { $0 }
        }
    }
}

/// Runs cut into portions that fit into a buffer and stand together in the file.
struct Portions: Sequence, IteratorProtocol {
    struct Portion: Equatable {
        var pieces: [StoredRun] = []
        var size = 0
        /// Where it belongs in the file.
        var position: UInt64
    }

    private let runs: [PlacedRun]
    private let limit: Int
    private var index = 0
    /// How much of the current run has been given out.
    private var done: UInt64 = 0

    init(_ runs: [PlacedRun], size: Int) {
        self.runs = runs.filter { $0.run.flags.contains(.isPresent) && $0.run.size > 0 }
        limit = size
    }

    /// All their bytes.
    var total: UInt64 { runs.reduce(0) { $0 + $1.run.size } }

    mutating func next() -> Portion? {
        guard index < runs.count else { return nil }
        var portion = Portion(position: runs[index].position + done)
        while index < runs.count, portion.size < limit {
            let (run, place) = (runs[index].run, runs[index].position + done)
            guard place == portion.position + UInt64(portion.size) else { break }
            let count = Swift.min(run.size - done, UInt64(limit - portion.size))
            portion.pieces.append(.init(address: run.address + done, size: count, flags: run.flags))
            portion.size += Int(count)
            done += count
            if done == run.size { (index, done) = (index + 1, 0) }
        }
        return portion
    }
}
