import Diagnostics
import Images
import Synchronization
import Testing

@testable import Memory

struct PageTransferTests {
    /// Every byte is the low byte of its page's number.
    private struct Source: PageSource {
        var list: [StoredRun] = []
        var failsAt: UInt64 = .max
        func runs() throws(Problem) -> [StoredRun] { list }
        func read(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
            var filled = 0
            for piece in pieces {
                if piece.address >= failsAt { throw Problem("unreadable", "", remedy: "") }
                for offset in 0..<piece.size {
                    unsafe buffer[filled] = UInt8(truncatingIfNeeded: (piece.address + offset) / 4096)
                    filled += 1
                }
            }
            #expect(filled == buffer.count)
        }
    }

    private final class Sink: PageSink {
        let bytes = Mutex<[UInt8]>([])
        let calls = Mutex(0)
        let failsAt: UInt64

        init(failsAt: UInt64 = .max) { self.failsAt = failsAt }

        func write(_ part: UnsafeRawBufferPointer, at position: UInt64) throws(Problem) {
            calls.withLock { $0 += 1 }
            if position >= failsAt { throw Problem("unwritable", "", remedy: "") }
            bytes.withLock { bytes in
                let end = Int(position) + part.count
                if bytes.count < end { bytes += [UInt8](repeating: 0xee, count: end - bytes.count) }
                unsafe bytes.replaceSubrange(Int(position)..<end, with: part)
            }
        }
    }

    private func runs(_ pages: [UInt64]) -> [StoredRun] {
        var address: UInt64 = 0x10000
        return pages.map { count in
            defer { address += (count + 7) * 4096 }
            return StoredRun(address: address, size: count * 4096, flags: .isPresent)
        }
    }

    private func content(_ runs: [StoredRun]) -> [UInt8] {
        runs.flatMap { run in
            (0..<run.size / 4096).flatMap {
                [UInt8](repeating: UInt8(truncatingIfNeeded: run.address / 4096 + $0), count: 4096)
            }
        }
    }

    /// In one buffer, and in many by two threads.
    @Test(arguments: [[], [1], [3, 1, 255], [256], [257, 2], [1000], [2000, 1, 3]])
    func bytesArriveAtTheirPlaces(pages: [UInt64]) throws {
        let runs = runs(pages)
        let sink = Sink()
        var told: [UInt64] = []
        try PageTransfer.move(runs.placed(), from: Source(), to: sink) { done, _ in told.append(done) }
        #expect(sink.bytes.withLock { $0 } == content(runs))
        #expect(told.last ?? 0 == pages.reduce(0, +) * 4096)
        #expect(told == told.sorted())
    }

    /// What stands in the parent has no bytes here, and what follows it stands elsewhere in the file.
    @Test func holesStayHoles() throws {
        let runs = runs([2, 3, 600, 1])
        var placed = runs.placed()
        placed[1].run.flags = .inParent
        let sink = Sink()
        try PageTransfer.move(placed, from: Source(), to: sink)
        var expected = content(runs)
        expected.replaceSubrange(2 * 4096..<5 * 4096, with: repeatElement(0xee, count: 3 * 4096))
        #expect(sink.bytes.withLock { $0 } == expected)
    }

    /// A disk that is full half-way: the failure arrives, and hardly anything is tried after it.
    @Test func aFailureToWriteEndsIt() {
        let sink = Sink(failsAt: 2 << 20)
        var problem: Problem?
        do throws(Problem) {
            try PageTransfer.move(runs([256 * 64]).placed(), from: Source(), to: sink)
        } catch {
            problem = error
        }
        #expect(problem?.code == "unwritable")
        #expect(sink.calls.withLock { $0 } == 3)
    }

    @Test func aFailureToWriteTheLastPartIsToldToo() {
        let sink = Sink(failsAt: 3 << 20)
        #expect(throws: Problem.self) {
            try PageTransfer.move(runs([256 * 3 + 1]).placed(), from: Source(), to: sink)
        }
    }

    @Test func aFailureToReadEndsIt() {
        let runs = runs([256 * 4, 256 * 60])
        let sink = Sink()
        var problem: Problem?
        do throws(Problem) {
            try PageTransfer.move(runs.placed(), from: Source(failsAt: runs[1].address), to: sink)
        } catch {
            problem = error
        }
        #expect(problem?.code == "unreadable")
        #expect(sink.calls.withLock { $0 } == 4)
    }

    /// Calls are few, however small the runs are, and memory does not grow with what is moved.
    @Test func portionsAreFilled() {
        let runs = runs([UInt64](repeating: 1, count: 1024)).placed()
        let portions = Array(Portions(runs, size: 1 << 20))
        #expect(portions.map(\.size) == [1 << 20, 1 << 20, 1 << 20, 1 << 20])
        #expect(portions.map(\.position) == [0, 1 << 20, 2 << 20, 3 << 20])
        #expect(portions.map(\.pieces.count) == [256, 256, 256, 256])
    }

    @Test func portionsEndWhereTheFileHasAGap() {
        var runs = runs([3, 2]).placed()
        runs[1].position += 4096
        let portions = Array(Portions(runs, size: 2 * 4096))
        #expect(portions.map(\.size) == [8192, 4096, 8192])
        #expect(portions.map(\.position) == [0, 8192, 16384])
        #expect(portions.map { $0.pieces.map(\.address) } == [[0x10000], [0x12000], [0x1a000]])
    }
}
