import Images
import Memory
import Testing

@testable import Checkpoint

/// What of a run is moved while the tree stands still, and what from its twins.
struct PlacedRunTests {
    private func run(_ start: UInt64, _ end: UInt64, at position: UInt64) -> PlacedRun {
        PlacedRun(
            run: .init(address: start * 4096, size: (end - start) * 4096, flags: .isPresent), position: position * 4096)
    }

    @Test func runsAreCutWithTheirPlaces() {
        let ranges: [Range<UInt64>] = [0..<(4 * 4096), (12 * 4096)..<(14 * 4096), (18 * 4096)..<(30 * 4096)]
        let (inside, outside) = run(10, 20, at: 100).cut(by: ranges)
        #expect(inside == [run(12, 14, at: 102), run(18, 20, at: 108)])
        #expect(outside == [run(10, 12, at: 100), run(14, 18, at: 104)])
        let all = run(20, 22, at: 7).cut(by: ranges)
        #expect(all.inside == [run(20, 22, at: 7)] && all.outside == [])
        let none = run(40, 41, at: 7).cut(by: ranges)
        #expect(none.inside == [] && none.outside == [run(40, 41, at: 7)])
    }

    /// Which pages may follow is what has to be sent, where it may.
    @Test func rangesHaveInCommon() {
        #expect(
            Departure.common([0..<10, 20..<30], [5..<22, 25..<26, 29..<40]) == [5..<10, 20..<22, 25..<26, 29..<30])
        #expect(
            Departure.rest(of: [0..<10, 20..<30], without: [5..<22, 25..<26, 29..<40]) == [0..<5, 22..<25, 26..<29])
        #expect(Departure.rest(of: [0..<30], without: [5..<6, 7..<8]) == [0..<5, 6..<7, 8..<30])
        #expect(Departure.rest(of: [0..<3, 4..<6], without: [2..<5]) == [0..<2, 5..<6])
        #expect(Departure.common([0..<10], []) == [] && Departure.common([0..<10], [10..<20]) == [])
    }
}
