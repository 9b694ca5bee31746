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

    @Test func `a tree that outruns the network is told from one that does not`() {
        func diverges(_ sizes: [UInt64], limit: UInt64 = 1_000_000) -> Bool {
            var pace = Pace(limit: limit, fixed: 0)
            for size in sizes { pace.add(size: size, time: size) }
            return pace.isDiverging
        }
        #expect(!diverges([1 << 30]))
        #expect(diverges([1 << 30, 1 << 30]))
        #expect(!diverges([1 << 30, 1 << 29]))
        #expect(diverges([1 << 30, 1 << 29, 1 << 29]))
        #expect(!diverges([1 << 30, 1 << 30], limit: 1 << 40))
        #expect(!diverges([1 << 19, 1 << 19], limit: 1))
    }

    @Test(arguments: Slowdown.shares)
    func `a standstill is followed by its share of running`(_ share: Double) {
        let slice = 100_000_000.0
        for stood in [share * slice, share * slice * 1.2, 3 * slice] {
            let runs = Double(Slowdown.pause(after: UInt64(stood), share: share))
            #expect(stood / (stood + runs) <= share + 0.001)
            #expect(stood + runs >= slice - 1)
        }
        // What could not be stopped runs for the rest of the slice.
        #expect(Slowdown.pause(after: 1_000_000, share: share) >= 99_000_000)
        #expect(share <= 0.95)
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
