import Diagnostics
import Testing

@testable import Compatibility

@Suite struct ExternalResourceTests {
    static let keys: [(String, Problem.Code?)] = [
        ("file[1f:3c]", nil), ("tty[8800:1]", nil), ("tty[8800:1]:name", nil),
        ("pipe:[17]", nil), ("pipe[17]", nil),
        ("mnt[/proc]:proc", .optionNotBuilt), ("net[4026]:ns", .optionNotBuilt), ("unix[5]", nil),
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
        #expect(throws: Problem.self) { try InheritedDescriptor.parse(Array("fd[3]:net[5]".utf8)).get() }
    }
}
