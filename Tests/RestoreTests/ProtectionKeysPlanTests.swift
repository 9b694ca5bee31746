import Diagnostics
import Images
import Linux
import Testing
import Tracing

@testable import Restore

/// What is planned for memory with protection keys, in the fixture `memory`.
@Suite("Plans for protection keys") struct ProtectionKeysPlanTests {
    private static let anonymous: Range<UInt64> = 0x7fe9_483b_f000..<0x7fe9_483c_7000
    private static let root: Int32 = 31200

    private func plan(_ traits: MemoryTraits, hasKeys: Bool) throws -> RestorePlan {
        try FixturePlans.plan("memory") { images, host in
            host.hasProtectionKeys = hasKeys
            images.supplement[.memory, Self.root] = traits.json
        }
    }

    private var traits: MemoryTraits {
        var traits = MemoryTraits()
        traits.keys = [3]
        traits.keyed = [.init(range: Self.anonymous, key: 3)]
        return traits
    }

    private func calls(_ batch: Batch, _ name: String) -> [Batch.Call] {
        batch.calls.filter { SystemCallName.of($0.number) == name }
    }

    @Test func aHostWithoutKeysRefusesThem() throws {
        let problems = #expect(throws: Problems.self) { try plan(traits, hasKeys: false) }
        #expect(problems?.all.map(\.code) == ["processor-differs"])
        #expect(problems?.all.first?.summary.contains("pkeys 3") == true)
    }

    /// Keys that no memory has are state, too: a program would find them free.
    @Test func keysWithoutMemoryAreRefusedAsWell() throws {
        var traits = MemoryTraits()
        traits.keys = [1]
        #expect(throws: Problems.self) { try plan(traits, hasKeys: false) }
    }

    /// The kernel gives the lowest that is free: those below are taken and given back.
    @Test func keysKeepTheirNumbers() throws {
        let task = try plan(traits, hasKeys: true).tasks[0]
        let batch = task.rebuild.batch
        #expect(calls(batch, "pkey_alloc").map(\.expected) == [1...1, 2...2, 3...3])
        #expect(calls(batch, "pkey_free").map { $0.arguments[0] } == [.int(1), .int(2)])
        let given = calls(batch, "pkey_mprotect")
        #expect(given.map { $0.arguments[0] } == [.value(Self.anonymous.lowerBound)])
        #expect(given.map { $0.arguments[3] } == [.int(3)])
        // Before any other is made, so that all can read a signal frame on a stack with a key.
        #expect(calls(task.family.batch, "pkey_alloc").count == 15)
    }

    @Test func whoHasNoneTakesNone() throws {
        let task = try plan(MemoryTraits(), hasKeys: true).tasks[0]
        #expect(calls(task.rebuild.batch, "pkey_alloc").isEmpty && calls(task.family.batch, "pkey_alloc").isEmpty)
    }

    @Test func aKeyOfAPartOfAMappingIsRefused() {
        var traits = traits
        traits.keyed = [.init(range: Self.anonymous.lowerBound..<Self.anonymous.lowerBound + 4096, key: 3)]
        let problems = #expect(throws: Problems.self) { try plan(traits, hasKeys: true) }
        #expect(problems?.all.map(\.code) == ["image-unsuitable"])
    }
}
