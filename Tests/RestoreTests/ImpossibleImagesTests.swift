import Diagnostics
import Images
import Testing

@testable import Restore

/// Images that no kernel could have led to are refused with a problem, and never end Apus. Each was found by the fuzzer.
@Suite struct ImpossibleImagesTests {
    private func problems(
        _ name: String, _ change: @escaping (inout CheckpointImages, inout RestoreHost) -> Void
    ) throws -> [Problem] {
        do {
            _ = try FixturePlans.plan(name, change: change)
            return []
        } catch let problems as Problems {
            return problems.all
        }
    }

    /// Only the mapping of vsyscall itself may lie beyond user space.
    @Test(arguments: [MappingStatus.vvar, .vdso, .systemV, .asyncIORing])
    func aMappingBeyondUserSpaceThatSaysItIsVsyscall(_ kind: MappingStatus) throws {
        let found = try problems("threads") { images, host in
            let place = images.tasks[0].memory?.vmas.firstIndex { $0.kind.contains(.vvar) } ?? 0
            images.tasks[0].memory?.vmas[place].kind = kind.union(.vsyscall)
            images.tasks[0].memory?.vmas[place].start = 1 << 63
            images.tasks[0].memory?.vmas[place].end = 1 << 63 + 8192
            host.vdso.append(0)
        }
        #expect(found.contains { $0.code == .imageUnsuitable }, "\(found)")
    }
}
