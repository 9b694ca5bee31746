import Diagnostics
import Images
import Linux
import SystemPackage
import Testing

@testable import Terminals

@Suite("What keepers of terminals and their guests say")
struct TerminalWordTests {
    @Test func comesInAnyPieces() throws {
        let words = [
            TerminalWord(.look), TerminalWord(.input, Array("typed".utf8)), TerminalWord(.size, ["rows": 24]),
            TerminalWord(.output, [UInt8](repeating: 7, count: TerminalWord.longest)),
        ]
        let bytes = words.flatMap(\.bytes)
        for piece in [1, 2, 5, 1000, bytes.count] {
            var (came, heard): ([UInt8], [TerminalWord]) = ([], [])
            for start in stride(from: 0, to: bytes.count, by: piece) {
                came += bytes[start...].prefix(piece)
                while let word = try TerminalWord.take(from: &came) { heard.append(word) }
            }
            #expect(heard == words && came.isEmpty, "in pieces of \(piece)")
        }
        #expect(words[2].json["rows"]?.bits == 24)
    }

    /// Nothing that comes is trusted.
    @Test(
        arguments: [[0, 0, 0, 0, 0], [99, 0, 0, 0, 0], [3, 1, 0, 1, 0], [3, 0xff, 0xff, 0xff, 0xff]] as [[UInt8]])
    func isRefused(_ bytes: [UInt8]) {
        #expect(throws: Errno.badMessage) {
            var bytes = bytes
            return try TerminalWord.take(from: &bytes)
        }
    }

    @Test func aTerminalInWords() {
        var kept = KeptTerminal(id: "0-1", pid: 17, name: "a \"name\"", path: "/dev/pts/3", keeper: 18)
        #expect(KeptTerminal(kept.json) == kept)
        kept.leader = 17
        kept.attached = "root at /dev/pts/4"
        #expect(KeptTerminal(kept.json) == kept)
        #expect(KeptTerminal(["id": "0-1", "pid": 17]) == nil)
    }
}

@Suite("Bytes that wait")
struct WaitingBytesTests {
    @Test func onlyTheLastAreKept() {
        var waiting = WaitingBytes()
        waiting.append(Array("first\nsecond\nthird".utf8))
        waiting.keepLast(100)
        #expect(waiting.count == 18)
        // A line that has lost its beginning goes as a whole.
        waiting.keepLast(14)
        let kept = waiting.takeAll()
        #expect(kept == Array("second\nthird".utf8))
        waiting.append([UInt8](repeating: 65, count: 50))
        waiting.keepLast(20)
        #expect(waiting.count == 20)
    }

    @Test func asMuchIsWrittenAsFits() throws {
        let pipe = try Files.pipe(.nonBlocking)
        let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        var waiting = WaitingBytes()
        waiting.append(bytes)
        var read: [UInt8] = []
        var rounds = 0
        while !waiting.isEmpty, rounds < 1000 {
            rounds += 1
            try waiting.write(to: pipe.second.raw)
            read += try Files.readSome(pipe.first.raw, atMost: 1 << 20)
        }
        #expect(read == bytes && rounds > 1)
    }
}
