import Diagnostics
import Images
import Testing

@testable import Restore

/// Which processors will do.
@Suite struct HostObstaclesTests {
    private static let strong = ["abm", "aes", "avx", "avx2", "avx512f", "cx16", "pni", "popcnt", "sse4_2", "xsave"]

    private func processor(_ features: [String], level: ProcessorLevel? = nil) -> HostRecord.Processor {
        var record = HostRecord.Processor(
            vendor: "V", model: "M", features: features, stateFeatures: 7, stateSize: 832)
        record.level = level
        return record
    }

    @Test func aProcessorThatCanDoLessIsRefused() {
        let problems = HostObstacles.processor(processor(Self.strong), processor(["cx16", "pni", "popcnt", "sse4_2"]))
        #expect(problems.map(\.code) == ["host-unlike"])
        #expect(problems[0].summary.contains("abm, aes, avx, avx2, avx512f, xsave"), "\(problems)")
        #expect(problems[0].remedy.contains("--cpu-level"))
        #expect(HostObstacles.processor(processor(["avx"]), processor(Self.strong)).isEmpty)
        // One that does not say what it can do.
        #expect(HostObstacles.processor(processor(Self.strong), processor([])).isEmpty)
    }

    @Test func aTreeThatKeepsToALevelNeedsNoMore() {
        let old = processor(["cx16", "pni", "popcnt", "sse4_2"])
        let kept = processor(Self.strong, level: .v2)
        #expect(HostObstacles.processor(kept, old).isEmpty)
        let warnings = HostObstacles.belowLevel(kept, old)
        #expect(warnings.count == 1 && warnings[0].contains("aes, avx, avx2, avx512f"), "\(warnings)")
        #expect(warnings[0].contains("x86-64-v2"))
        #expect(HostObstacles.belowLevel(kept, processor(Self.strong)).isEmpty)
        #expect(HostObstacles.belowLevel(processor(Self.strong), old).isEmpty)
        // What belongs to the level is asked for.
        let problems = HostObstacles.processor(kept, processor(["cx16", "pni", "popcnt"]))
        #expect(problems.map(\.code) == ["host-unlike"])
        #expect(problems[0].summary.contains("had: sse4_2, and"), "\(problems)")
        let higher = HostObstacles.processor(processor(Self.strong, level: .v3), old)
        #expect(higher.first?.summary.contains("had: abm, avx, avx2, xsave,") == true, "\(higher)")
    }
}
