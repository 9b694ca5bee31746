import Diagnostics
import SystemPackage
import Testing

@Suite struct ProblemTests {
    static let full = Problem(
        "pid-in-use", "another process has this pid",
        object: .init(pid: 12, process: "sh", fd: 3, path: "/a", address: 0x7f00),
        cause: .init(.fileExists, attempted: "clone3(set_tid=[12])"), remedy: "End that process")
    static let bare = Problem("odd", "something", remedy: "")

    @Test func rendersForPeople() {
        #expect(
            Self.full.rendered(TextStyle()) == """
                error[pid-in-use]: process 12 (sh), descriptor 3, address 0x7f00, /a
                  another process has this pid
                  cause: clone3(set_tid=[12]): File exists
                  help: End that process

                """)
        #expect(Self.bare.rendered(TextStyle()) == "error[odd]: something\n")
    }

    @Test func coloursOnlyWhereWanted() {
        #expect(!Self.full.rendered(TextStyle(coloured: false)).contains("\u{1b}"))
        #expect(Self.full.rendered(TextStyle(coloured: true)).contains("\u{1b}[1;31merror[pid-in-use]\u{1b}[0m"))
    }

    @Test func wrapsAtTheWidth() {
        let long = Problem("x", String(repeating: "word ", count: 60), object: .init(pid: 1), remedy: "do it")
        let lines = long.rendered(TextStyle(columns: 50)).split(separator: "\n")
        #expect(lines.count > 5)
        for line in lines { #expect(line.count <= 50) }
    }

    @Test func severalAreCounted() {
        let text = Problems(Self.full, [Self.bare]).rendered(TextStyle())
        #expect(text.hasSuffix("\n\nerror[odd]: something\n\n2 problems found\n"))
    }

    /// Where one remedy settles a thousand, it stands there once, and each of them is named.
    @Test func aCrowdIsToldTogether() {
        var pids = (100..<1100).map { Int32($0) }
        pids.remove(at: 500)
        let crowd = pids.map { Problem("taken", "pid \($0) is taken", object: .init(pid: $0), remedy: "End it") }
        let text = Problems(Self.full, crowd + [Self.bare]).rendered(TextStyle())
        #expect(text.split(separator: "\n").count < 20, "\(text)")
        #expect(text.contains("and 996 more: processes 103 to 599, 601 to 1099\n  help: End it\n"), "\(text)")
        #expect(text.contains("pid 102 is taken") && !text.contains("pid 103 is taken"))
        #expect(text.hasSuffix("error[odd]: something\n\n1001 problems found\n"))
        let files = (0..<40).map { Problem("gone", "it is gone", object: .init(path: "/f\($0)"), remedy: "Copy it") }
        let named = Problems.texts(of: files, TextStyle(columns: 1000))
        #expect(named.count == 1 && named[0].contains("and 37 more: /f3; /f4; /f5"), "\(named)")
        #expect(Problems.texts(of: Array(files.prefix(32)), TextStyle()).count == 32)
        // Where the objects do not tell them apart.
        for object in [Problem.Object(), .init(pid: 7)] {
            let ports = (0..<40).map { Problem("busy", "port \($0) is taken", object: object, remedy: "Free it") }
            let text = Problems.texts(of: ports, TextStyle(columns: 5000)).joined()
            #expect((0..<40).allSatisfy { text.contains("port \($0) is taken") }, "\(text)")
        }
    }

    @Test func hostileNamesCannotDriveTheTerminal() {
        let hostile = Problem("x", "s", object: .init(path: "/tmp/\u{1b}]0;owned\u{7}\n"), remedy: "")
        let text = hostile.rendered(TextStyle())
        #expect(!text.contains("\u{1b}") && !text.contains("\u{7}"))
        #expect(text.contains("/tmp/\\x1b]0;owned\\x07\\x0a"))
    }

    @Test func becomesJSON() {
        #expect(
            Self.full.json.text(indented: false) == """
                {"code":"pid-in-use","summary":"another process has this pid","object":{"pid":12,"process":"sh",\
                "fd":3,"path":"/a","address":"0x7f00"},"cause":{"errno":17,"message":"File exists",\
                "attempted":"clone3(set_tid=[12])"},"remedy":"End that process"}
                """)
        #expect(Self.bare.json.text(indented: false) == #"{"code":"odd","summary":"something"}"#)
    }
}

@Suite struct JSONTests {
    @Test func escapes() {
        #expect(JSON.string("a\"b\\c\n\r\t\u{1}ä\u{1F600}").text() == #""a\"b\\c\n\r\t\u0001ä😀""#)
    }

    @Test func indents() {
        let value: JSON = ["list": [1, true, .null], "empty": [], "none": .object([]), "big": .unsigned(.max)]
        #expect(
            value.text() == """
                {
                  "list": [
                    1,
                    true,
                    null
                  ],
                  "empty": [],
                  "none": {},
                  "big": 18446744073709551615
                }
                """)
        #expect(
            value.text(indented: false) == #"{"list":[1,true,null],"empty":[],"none":{},"big":18446744073709551615}"#)
    }
}
