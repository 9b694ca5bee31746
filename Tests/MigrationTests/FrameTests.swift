import Diagnostics
import Testing

@testable import Migration

@Suite struct FrameTests {
    @Test func `a header is read as it was written`() throws {
        for (kind, size) in [(Frame.Kind.hello, 0), (.pages, 1 << 20), (.fate, Frame.longestBody)] {
            let (read, length) = try Frame.parse(Frame.header(kind, bodySize: size))
            #expect(read == kind && length == size)
        }
    }

    @Test(arguments: [
        Array("Welcome ".utf8), [0x41, 0x50, 99, 0, 0, 0, 0, 0], [0x41, 0x50, 1, 1, 0, 0, 0, 0],
        [0x41, 0x50, 1, 0, 1, 0, 0x80, 0], [0x41, 0x50, 1, 0, 255, 255, 255, 255], [0x41, 0x50, 1],
    ])
    func `what is no header is refused`(_ bytes: [UInt8]) {
        #expect(throws: Problem.self) { try Frame.parse(bytes) }
    }

    @Test func `what a shell prints is told`() {
        do throws(Problem) {
            _ = try Frame.parse(Array("Welcome to".utf8.prefix(8)))
            Issue.record("it passes for a header")
        } catch {
            #expect(error.code == .badProtocol && error.summary.contains("Welcome"))
        }
    }

    @Test func `a body is not read beyond its end`() throws {
        var reader = BodyReader([1, 0, 0, 0, 2, 3])
        #expect(try reader.word32() == 1)
        #expect(throws: Problem.self) { try reader.word32() }
        #expect(throws: Problem.self) { try reader.bytes(3) }
        #expect(try reader.bytes(2) == [2, 3] && reader.rest == 0)
    }
}
