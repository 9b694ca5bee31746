import Diagnostics
import Images
import Linux
import Testing
import Tracing

@testable import Restore

/// What is planned for the memory in the fixture `memory`, and for what the supplement says of it.
@Suite struct MemoryPlanTests {
    private static let anonymous: Range<UInt64> = 0x7fe9_483b_f000..<0x7fe9_483c_7000
    private static let root: Int32 = 31200

    private func plan(_ traits: MemoryTraits) throws -> RestorePlan {
        try FixturePlans.plan("memory") { images, _ in images.supplement[.memory, Self.root] = traits.json }
    }

    private func indices(_ calls: [Batch.Call], _ name: String) -> [Int] {
        calls.indices.filter { SystemCallName.of(calls[$0].number) == name }
    }

    @Test func whatForbidsChangesComesLast() throws {
        var traits = MemoryTraits()
        traits.guards = [Self.anonymous.lowerBound + 0x1000..<Self.anonymous.lowerBound + 0x2000]
        traits.sealed = [Self.anonymous]
        traits.futureLocks = 6
        let calls = try plan(traits).tasks[0].rebuild.batch.calls
        let (installGuards, seal) = (102, 462)
        let guards = calls.indices.filter { calls[$0].arguments.dropFirst(2).first == .int(installGuards) }
        let seals = calls.indices.filter { calls[$0].number == seal }
        #expect(guards.count == 1 && seals.count == 1)
        #expect(try #require(guards.first) > (try #require(indices(calls, "mmap").last)))
        #expect(try #require(guards.first) > (try #require(indices(calls, "pread64").last)))
        #expect(try #require(guards.first) < (try #require(indices(calls, "mlock2").first)))
        #expect(try #require(seals.first) > (try #require(indices(calls, "mremap").last)))
        #expect(try #require(indices(calls, "mlockall").first) > (try #require(seals.first)))
    }

    @Test func droppableMemoryIsMappedAsSuch() throws {
        var traits = MemoryTraits()
        traits.droppable = [Self.anonymous]
        let calls = try plan(traits).tasks[0].rebuild.batch.calls
        let maps = calls.filter { $0.expected.lowerBound == Int64(Self.anonymous.lowerBound) }
        // MAP_DROPPABLE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
        #expect(maps.map { $0.arguments[3] } == [.value(0x100028)])
    }

    @Test func traitsOutsideOfAllMappingsAreRefused() {
        var traits = MemoryTraits()
        traits.guards = [0x1000..<0x2000]
        let problems = #expect(throws: Problems.self) { try plan(traits) }
        #expect(problems?.all.map(\.code) == ["image-unsuitable"])
    }

    @Test func segmentsAreAttachedInANamespaceOfTheirOwn() throws {
        let plan = try FixturePlans.plan("memory")
        let made = plan.openings.map { "\($0.resource)" }
        let namespace = try #require(made.firstIndex(of: "a new IPC namespace"))
        let segment = try #require(made.firstIndex { $0.hasPrefix("System V shared memory 0 with the key 0x41505553") })
        #expect(namespace < segment)
        for task in plan.tasks {
            let calls = task.rebuild.batch.calls
            let attached = indices(calls, "shmat")
            #expect(attached.count == 1)
            #expect(calls[attached[0]].expected == 0x7fe9_483a_5000...0x7fe9_483a_5000)
            #expect(attached[0] < (try #require(indices(calls, "mmap").first)))
        }
    }

    /// What a program has unmapped of a segment is unmapped again, and what lies there now comes afterwards.
    @Test func aSegmentInParts() throws {
        let plan = try FixturePlans.plan("memory") { images, _ in
            for index in images.tasks.indices {
                guard let part = images.tasks[index].memory?.vmas.firstIndex(where: { $0.kind.contains(.systemV) })
                else { continue }
                images.tasks[index].memory?.vmas[part].start += 0x1000
                images.tasks[index].memory?.vmas[part].pgoff = 0x1000
            }
        }
        let calls = plan.tasks[0].rebuild.batch.calls
        let attach = try #require(indices(calls, "shmat").first)
        #expect(SystemCallName.of(calls[attach + 1].number) == "munmap")
        #expect(Array(calls[attach + 1].arguments.prefix(2)) == [.value(0x7fe9_483a_5000), .value(0x1000)])
    }

    @Test func aSegmentThatTheImagesLack() {
        let problems = #expect(throws: Problems.self) {
            try FixturePlans.plan("memory") { images, _ in images.segments = [] }
        }
        #expect(problems?.all.allSatisfy { $0.code == "image-unsuitable" } == true)
    }
}
