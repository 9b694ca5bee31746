import Diagnostics
import Glibc
import Logging
import SystemPackage
import Testing

@testable import Compatibility

@Suite struct LogTests {
    private func line(_ message: String, _ level: Logger.Level, _ elapsed: Duration = .microseconds(1234)) -> String {
        LogLine.text(message, level: level, label: "dump", metadata: [:], elapsed: elapsed)
    }

    @Test func linesLookLikeCRIUs() {
        #expect(line("frozen", .info) == "(00.001234) frozen\n")
        #expect(line("gone", .error) == "(00.001234) Error (dump): gone\n")
        #expect(line("odd", .warning) == "(00.001234) Warn  (dump): odd\n")
        #expect(line("late", .debug, .seconds(123) + .microseconds(5)) == "(123.000005) late\n")
        #expect(line("late", .debug, .seconds(12)) == "(12.000000) late\n")
    }

    @Test func messageCannotForgeALine() {
        #expect(line("a\n(00.000001) Error (dump): b", .info).filter { $0 == "\n" }.count == 1)
    }

    @Test func metadataFollowsInOrder() {
        let text = LogLine.text("x", level: .info, label: "l", metadata: ["b": "2", "a": "1"], elapsed: .zero)
        #expect(text == "(00.000000) x a=1 b=2\n")
    }

    @Test func verbosityChoosesLevels() throws {
        let all: [Logger.Level] = [.error, .warning, .info, .debug, .trace]
        let expected = [0: 0, 1: 1, 2: 2, 3: 3, 4: 5]
        for (verbosity, count) in expected {
            let path = FilePath("/tmp/apus-log-test-\(verbosity)-\(UInt32.random(in: 0...UInt32.max))")
            let file = try LogFile.open(path)
            let output = LogOutput(descriptor: file, form: .file, label: "dump", verbosity: verbosity)
            let logger = Logger(label: "test") { _ in output }
            for level in all { logger.log(level: level, "message") }
            try file.close()
            #expect(try contents(of: path).filter { $0 == UInt8(ascii: "\n") }.count == count)
            // unsafe: unlink(2) by a C string that lives for the call.
            _ = unsafe path.withPlatformString { unsafe unlink($0) }
        }
    }

    /// What a full disk keeps out of the log is not missing without a word.
    @Test func aLogThatCannotBeWritten() throws {
        let full = try FileDescriptor.open(FilePath("/dev/full"), .writeOnly)
        let (reading, writing) = try FileDescriptor.pipe()
        let output = LogOutput(descriptor: full, form: .file, label: "dump", verbosity: 4, fallback: writing)
        let logger = Logger(label: "test") { _ in output }
        for number in 1...3 { logger.info("message \(number)") }
        try writing.close()
        try full.close()
        let told = try reading.closeAfter {
            try unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
                // unsafe: read(2) fills the buffer that the array hands out.
                count = unsafe try reading.read(into: UnsafeMutableRawBufferPointer(buffer))
            }
        }
        let text = String(decoding: told, as: UTF8.self)
        #expect(text.contains("the log cannot be written") && text.contains("No space left"), "\(text)")
        #expect(text.filter { $0 == "\n" }.count == 1, "\(text)")
    }
}

private func contents(of path: FilePath) throws -> [UInt8] {
    let file = try FileDescriptor.open(path, .readOnly)
    return try file.closeAfter {
        try unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            // unsafe: read(2) fills the buffer that the array hands out.
            count = unsafe try file.read(into: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}
