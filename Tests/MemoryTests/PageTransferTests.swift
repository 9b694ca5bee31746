import Diagnostics
import Images
import Testing

@testable import Memory

struct PageTransferTests {
    /// Every byte is the low byte of its page's number.
    private struct Source: PageSource {
        let list: [StoredRun]
        func runs() throws(Problem) -> [StoredRun] { list }
        func read(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
            var filled = 0
            for piece in pieces {
                for offset in 0..<piece.size {
                    unsafe buffer[filled] = UInt8(truncatingIfNeeded: (piece.address + offset) / 4096)
                    filled += 1
                }
            }
            #expect(filled == buffer.count)
        }
    }

    private struct Sink: PageSink {
        var runs: [StoredRun] = []
        var bytes: [UInt8] = []
        mutating func add(_ run: StoredRun) throws(Problem) { runs.append(run) }
        mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Problem) {
            unsafe self.bytes.append(contentsOf: bytes)
        }
    }

    @Test(arguments: [[], [1], [3, 1, 255], [256], [257, 2], [1000]])
    func bytesArriveInOrder(pages: [UInt64]) throws {
        var runs: [StoredRun] = []
        var address: UInt64 = 0x10000
        for count in pages {
            runs.append(StoredRun(address: address, size: count * 4096, flags: .isPresent))
            address += (count + 7) * 4096
        }
        var sink = Sink()
        let moved = try PageTransfer.move(from: Source(list: runs), to: &sink)
        #expect(moved == pages.reduce(0, +))
        #expect(sink.runs == runs)
        let expected = runs.flatMap { run in
            (0..<run.size / 4096).flatMap {
                [UInt8](repeating: UInt8(truncatingIfNeeded: run.address / 4096 + $0), count: 4096)
            }
        }
        #expect(sink.bytes == expected)
    }
}
