import Testing

@testable import Migration

/// What has yet to come, and where it belongs by now.
@Suite("Pages that follow")
struct LatePagesTests {
    private static let page: UInt64 = 4096

    /// By numbers of pages.
    private func range(_ pages: Range<UInt64>) -> Range<UInt64> {
        pages.lowerBound * Self.page..<pages.upperBound * Self.page
    }

    private func pages(_ late: LatePages) -> [Range<UInt64>] {
        late.outstanding.map { $0.lowerBound / Self.page..<$0.upperBound / Self.page }
    }

    private func wanted(_ late: LatePages, _ asked: Range<UInt64>) -> [[UInt64]] {
        late.wanted(range(asked)).map {
            [$0.source.lowerBound / Self.page, $0.source.upperBound / Self.page, $0.current / Self.page]
        }
    }

    /// Runs near each other, and far: more than what bits of one word tell.
    private var sample: LatePages { LatePages([10..<20, 30..<200, 5000..<5001].map(range)) }

    @Test func countsWhatIsToCome() {
        let late = sample
        #expect(late.count == 181 && !late.isEmpty)
        #expect(pages(late) == [10..<20, 30..<200, 5000..<5001])
        #expect(late.source(of: 12 * Self.page) == 12 * Self.page)
        for other: UInt64 in [0, 9, 20, 29, 200, 4999, 5001, 9_000_000] {
            #expect(late.source(of: other * Self.page) == nil)
        }
        #expect(LatePages([]).isEmpty && LatePages([]).outstanding == [])
    }

    @Test func settlesWhatHasCome() {
        var late = sample
        #expect(wanted(late, 15..<40) == [[15, 20, 15], [30, 40, 30]])
        late.settle(range(15..<100))
        late.settle(range(15..<100))
        #expect(late.count == 5 + 100 + 1)
        #expect(wanted(late, 0..<110) == [[10, 15, 10], [100, 110, 100]])
        late.settle(range(0..<10_000))
        #expect(late.isEmpty && wanted(late, 0..<10_000).isEmpty)
    }

    /// What the program gives up is wanted no more, and stays so when the page comes.
    @Test func dropsWhatIsGivenUp() {
        var late = sample
        late.drop(range(18..<32))
        #expect(pages(late) == [10..<18, 32..<200, 5000..<5001])
        late.unmap(range(190..<6000))
        #expect(pages(late) == [10..<18, 32..<190])
    }

    /// What is moved comes to where it was moved to, also a second time, and what stood there is gone.
    @Test func followsWhatIsMoved() {
        var late = sample
        late.move(from: 40 * Self.page, to: 1000 * Self.page, size: 10 * Self.page)
        #expect(late.source(of: 1003 * Self.page) == 43 * Self.page)
        #expect(late.source(of: 43 * Self.page) == nil)
        #expect(late.count == 181)
        #expect(Set(wanted(late, 38..<52)) == [[38, 40, 38], [40, 50, 1000], [50, 52, 50]])
        late.move(from: 1005 * Self.page, to: 12 * Self.page, size: 5 * Self.page)
        #expect(
            late.source(of: 12 * Self.page) == 45 * Self.page && late.source(of: 1004 * Self.page) == 44 * Self.page)
        #expect(late.count == 181 - 5, "what was at the target has gone")
        late.drop(range(12..<14))
        #expect(Set(wanted(late, 40..<50)) == [[40, 45, 1000], [47, 50, 14]])
        // Back to where it came from.
        late.move(from: 1000 * Self.page, to: 40 * Self.page, size: 5 * Self.page)
        #expect(late.source(of: 41 * Self.page) == 41 * Self.page)
    }

    /// Whatever happens, a page is wanted at one place at the most, and the count is that of the pages that are.
    @Test func staysConsistent() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            var late = LatePages([range(0..<300), range(2000..<2100)])
            for _ in 0..<40 {
                let start = UInt64.random(in: 0..<400, using: &random)
                let size = UInt64.random(in: 1..<60, using: &random)
                let target = 400 + UInt64.random(in: 0..<400, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: late.settle(range(start..<start + size))
                case 1: late.drop(range(start..<start + size))
                case 2: late.unmap(range(start..<start + size))
                default: late.move(from: start * Self.page, to: target * Self.page, size: size * Self.page)
                }
                let all = late.wanted(range(0..<3000))
                #expect(all.reduce(0) { $0 + Int($1.source.upperBound - $1.source.lowerBound) } == late.count * 4096)
                for (source, current) in all { #expect(late.source(of: current) == source.lowerBound) }
            }
        }
    }
}
