import Testing

@testable import Migration

@Suite struct PaceTests {
    private func rounds(_ sizes: [UInt64], limit: UInt64 = 300_000_000) -> Int {
        var pace = Pace(limit: limit, fixed: 10_000_000)
        for (index, size) in sizes.enumerated() {
            // A gigabyte each second.
            pace.add(size: size, time: size)
            if pace.isGoodEnough { return index + 1 }
        }
        return 0
    }

    @Test func `a tree that writes nothing needs no second round`() {
        #expect(rounds([1000]) == 1)
        #expect(rounds([1 << 30, 4096]) == 2)
    }

    @Test func `it goes on as long as it gets better`() {
        #expect(rounds([1 << 30, 200 << 20, 40 << 20, 8 << 20, 1 << 19]) == 5)
    }

    @Test func `a tree that writes faster than the network carries is not waited for`() {
        #expect(rounds([1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30], limit: 1_000_000) == 4)
    }

    @Test func `once the limit can be kept and nothing is to be gained it ends`() {
        #expect(rounds([1 << 30, 20 << 20, 19 << 20]) == 3)
    }

    @Test func `a rate is kept over time`() {
        var brake = Brake(rate: 1_000_000, start: 0)
        #expect(brake.take(500_000, at: 0) == 500_000_000)
        #expect(brake.take(500_000, at: 500_000_000) == 500_000_000)
        // Who was late may catch up.
        #expect(brake.take(1_000_000, at: 3_000_000_000) == 0)
        #expect(brake.take(10_000_000, at: 3_000_000_000) == 1_000_000_000)
    }
}
