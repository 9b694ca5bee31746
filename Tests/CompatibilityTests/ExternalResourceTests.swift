import Diagnostics
import Testing

@testable import Compatibility

@Suite struct ExternalResourceTests {
    static let keys: [(String, Problem.Code?)] = [
        ("file[1f:3c]", nil), ("tty[8800:1]", nil), ("tty[8800:1]:name", .invalidValue),
        ("pipe:[17]", nil), ("pipe[17]", nil), ("unix[5]", nil), ("unix[x]", .invalidValue), ("unix[]", .invalidValue),
        ("file[1f]", .invalidValue), ("file[1f:3c:2]", .invalidValue), ("file[1g:2]", .invalidValue),
        ("pipe:[-1]", .invalidValue), ("pipe:[1", .invalidValue), ("pipe:[1]x", .invalidValue),
        ("[1]", .invalidValue), ("pipe]1[", .invalidValue),
        ("mnt[/proc]:proc", .optionNotBuilt), ("mnt[]", .optionNotBuilt), ("net[4026]:ns", .optionNotBuilt),
        ("pid[4026]:ns", .optionNotBuilt), ("dev[8/1]:disk", nil), ("dev[disk]:/dev/sdb", nil),
        ("dev[8/1]", .invalidValue), ("dev[8]:disk", .invalidValue), ("dev[8/x]:disk", .invalidValue),
        ("dev[]:/dev/sdb", .invalidValue), ("veth[eth0]:veth1@br", .optionNotBuilt),
        ("file", .invalidValue), ("", .invalidValue), ("gizmo[1]", .invalidValue),
    ]

    @Test(arguments: keys)
    func knowsKinds(_ key: String, _ code: Problem.Code?) {
        #expect(ExternalResource.problems([Array(key.utf8)]).first?.code == code)
    }

    @Test func readsInheritedDescriptors() {
        #expect(
            InheritedDescriptor.parse(Array("fd[7]:tmp/log:1".utf8))
                == .success(InheritedDescriptor(descriptor: 7, key: "tmp/log:1")))
        for wrong in ["7:a", "fd[7]", "fd[7]:", "fd[-1]:a", "fd[x]:a", "fd[]:a", "fd[7:a", "fd[99999999999]:a"] {
            #expect(throws: Problem.self, "\(wrong)") { try InheritedDescriptor.parse(Array(wrong.utf8)).get() }
        }
        for unbuilt in ["mnt[1]", "net[1]", "pid[1]"] {
            #expect(throws: Problem.self) { try InheritedDescriptor.parse(Array("fd[3]:\(unbuilt)".utf8)).get() }
        }
    }

    /// What means the same is looked for as the same.
    @Test(arguments: [
        ("pipe[17]", "pipe:[17]"), ("pipe:[017]", "pipe:[17]"), ("unix:[5]", "unix[5]"), ("socket[5]", "socket:[5]"),
        ("file[1F:03C]", "file[1f:3c]"), ("tty[0x1:2]", "tty[0x1:2]"), ("tmp/a[1]", "tmp/a[1]"),
        ("log[007]", "log[007]"), ("a/pipe[017]", "a/pipe[017]"),
    ])
    func canonicalKeys(_ written: String, _ expected: String) {
        #expect(ExternalResource.canonical(written) == expected)
        #expect(
            InheritedDescriptor.parse(Array("fd[3]:\(written)".utf8))
                == .success(.init(descriptor: 3, key: expected)))
    }

    @Test func pathsAreFromTheRootOn() {
        #expect(
            InheritedDescriptor.parse(Array("fd[3]:/var/log/a".utf8))
                == .success(.init(descriptor: 3, key: "var/log/a")))
        #expect(throws: Problem.self) { try InheritedDescriptor.parse(Array("fd[3]:/".utf8)).get() }
    }
}
