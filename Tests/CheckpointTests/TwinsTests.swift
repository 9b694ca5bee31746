import Testing

@testable import Checkpoint

@Suite("Copies of processes") struct TwinsTests {
    /// To make copies of all must not take longer than to copy the memory.
    @Test(
        arguments: [
            // A few say nothing yet.
            (1_000_000_000, 7, 100, 1_000_000, true),
            // Half a millisecond each, with a mebibyte each to copy.
            (500_000 * 8, 8, 1000, 1_000_000_000, true), (500_000 * 999, 999, 1000, 1_000_000_000, true),
            // Two milliseconds each.
            (2_000_000 * 8, 8, 1000, 1_000_000_000, false), (2_000_000 * 100, 100, 1000, 1_000_000_000, false),
        ] as [(UInt64, Int, Int, UInt64, Bool)])
    func areGivenUpWhereTheyTakeLonger(_ elapsed: UInt64, _ made: Int, _ count: Int, _ limit: UInt64, _ goesOn: Bool) {
        #expect(Twins.isWorthwhile(after: elapsed, made, of: count, limit: limit) == goesOn)
    }
}
