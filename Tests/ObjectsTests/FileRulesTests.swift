import Objects
import SystemPackage
import Testing

@Suite("Rules for files")
struct FileRulesTests {
    @Test(
        "A pattern fits a whole name",
        arguments: [
            ("/usr/lib/*", "/usr/lib/a/b", true), ("/usr/lib/*", "/usr/lib", false), ("*", "/", true),
            ("*/libc.so.?", "/lib/libc.so.6", true), ("*/libc.so.?", "/lib/libc.so.66", false),
            ("*a*b*", "/xaxbx", true), ("*a*b", "/xaxbx", false), (#"/a\*"#, "/a*", true), (#"/a\*"#, "/ab", false),
            ("/log=1", "/log=1", true),
        ])
    func patterns(_ pattern: String, _ name: String, _ fits: Bool) {
        var rules = FileRules()
        let isTaken = rules.add(Array("\(pattern)=size".utf8))
        #expect(isTaken)
        #expect((rules.policy(for: FilePath(name)) == .size) == fits)
    }

    @Test("The last pattern that fits counts")
    func order() {
        var rules = FileRules()
        for text in ["/a*=exact", "/ab=ignore", "/b=ship"] { _ = rules.add(Array(text.utf8)) }
        #expect(rules.policy(for: "/a") == .exact)
        #expect(rules.policy(for: "/ab") == .ignore)
        #expect(rules.policy(for: "/c") == nil)
        #expect(rules.speaks(of: .ship) && !rules.speaks(of: .grown))
    }

    @Test("What is no rule is refused", arguments: ["", "=", "a", "=size", "a=", "a=sizes"])
    func refusals(_ text: String) {
        var rules = FileRules()
        let isTaken = rules.add(Array(text.utf8))
        #expect(!isTaken)
    }

    /// A pattern that has to go back again and again must not take for ever.
    @Test("Long patterns take no time to speak of")
    func effort() {
        var rules = FileRules()
        let isTaken = rules.add(Array((String(repeating: "*a", count: 200) + "b=size").utf8))
        #expect(isTaken)
        #expect(rules.policy(for: FilePath("/" + String(repeating: "a", count: 4000))) == nil)
    }
}
