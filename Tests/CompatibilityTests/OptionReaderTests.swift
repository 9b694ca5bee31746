import Diagnostics
import SystemPackage
import Testing

@testable import Compatibility

@Suite struct OptionReaderTests {
    private func reader(_ words: String) -> OptionReader {
        OptionReader(invocation(words.split(separator: " ").map(String.init)))
    }

    @Test func readsValues() throws {
        var reader = reader("dump -t 12 -D /a -j --action-script /s --action-script=/t")
        #expect(reader.number("tree", in: 1...Int32.max, expected: "a pid") == 12)
        #expect(reader.path("images-dir") == "/a")
        #expect(reader.path("work-dir") == nil)
        #expect(reader.paths("action-script") == ["/s", "/t"])
        #expect(reader.flag("shell-job") && !reader.flag("leave-running"))
        try reader.finish()
    }

    @Test(arguments: ["0", "-1", "x", "2147483648", "1.5", "0x10", "12 ", "99999999999999999999", ""])
    func refusesNumbers(_ text: String) {
        var reader = OptionReader(invocation(["dump", "--tree=\(text)"]))
        #expect(reader.number("tree", in: 1...Int32.max, expected: "a pid") == nil)
        #expect(reader.problems.map(\.code) == [.invalidValue])
        #expect(throws: Problems.self) { try reader.finish() }
    }

    @Test func refusesEmptyPaths() {
        var reader = reader("dump --images-dir= --work-dir=")
        #expect(reader.path("images-dir") == nil)
        #expect(reader.path("work-dir") == nil)
        #expect(reader.problems.count == 2)
    }

    @Test func namesTheLineOfAFile() throws {
        let configuration = ConfigurationSources(defaults: ["/c"]) { _ in .success(Array("\ntree x".utf8)) }
        var reader = OptionReader(invocation(["dump"], configuration: configuration))
        #expect(reader.number("tree", in: 1...Int32.max, expected: "a pid") == nil)
        #expect(reader.problems.first?.object.path == "/c:2")
    }
}
