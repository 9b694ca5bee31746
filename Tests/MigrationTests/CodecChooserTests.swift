import Bundles
import Testing

@testable import Migration

@Suite struct CodecChooserTests {
    /// A link and pages, on paper. Rates are bytes for each nanosecond.
    private struct World {
        /// What the link carries.
        var link: Double
        /// What the other side does with bytes of pages, once they are there.
        var placing = 2.0
        /// What each way does: how fast, and what comes out of a byte.
        var ways: [(speed: Double, yield: Double)] = [
            (.infinity, 1), (0.6, 0.5), (0.35, 0.35), (0.25, 0.3), (0.04, 0.27),
        ]
        var chooser = CodecChooser()
        private(set) var now: Double = 1e9
        private var waited: Double = 0
        private var sampling: Double = 0
        /// What lies in the pipe.
        private var under: Double = 0
        private(set) var content: Double = 0

        init(link: Double) { self.link = link }

        /// Sends frames of a mebibyte for so many milliseconds.
        mutating func run(milliseconds: Double) {
            let end = now + milliseconds * 1e6
            while now < end {
                let time = UInt64(now)
                for way in chooser.wanted(at: time) {
                    let (speed, yield) = ways[CodecChooser.ways.firstIndex(of: way) ?? 0]
                    let took = 131072 / speed
                    pass(took)
                    sampling += took
                    chooser.add(way, 131072, Int(131072 * yield), time: UInt64(took), at: UInt64(now))
                }
                let (speed, yield) = ways[CodecChooser.ways.firstIndex(of: chooser.current) ?? 0]
                let (size, packing) = (Double(1 << 20), Double(1 << 20) / speed)
                pass(size / 3 + packing)
                // The other side takes less where pages have to be put into their place.
                drain = min(link, placing * yield)
                let carried = size * yield
                under += carried
                if under > size {
                    let wait = (under - size) / drain
                    waited += wait
                    pass(wait)
                }
                content += size
                chooser.sent(
                    content: Int(size), carried: Int(carried), packing: UInt64(packing), waited: UInt64(waited),
                    at: UInt64(now))
            }
        }

        private var drain: Double = 1

        private mutating func pass(_ time: Double) {
            now += time
            under = max(under - time * min(drain, link), 0)
        }

        /// Which share of the time went with samples.
        var sampled: Double { sampling / (now - 1e9) }
    }

    @Test func `a slow link gets what yields most`() {
        var world = World(link: 0.0012)
        world.run(milliseconds: 8000)
        #expect(world.chooser.current == .zstd(level: 9))
        #expect(world.sampled < 0.03)
    }

    @Test func `a link of a gigabit gets what keeps up with it`() {
        var world = World(link: 0.117)
        world.run(milliseconds: 3000)
        #expect([.zstd(level: 1), .zstd(level: 3)].contains(world.chooser.current), "\(world.chooser.current)")
        let rate = world.content / (world.now - 1e9)
        #expect(rate > 1.8 * 0.117, "\(rate)")
    }

    @Test func `a fast link is left alone`() {
        var world = World(link: 3)
        world.run(milliseconds: 3000)
        #expect(world.chooser.current == .none)
        #expect(world.sampled < 0.03)
    }

    /// What is slow is the other side, and not the link: fewer bytes change nothing.
    @Test func `what brings nothing is taken back`() {
        var world = World(link: 1.2)
        world.placing = 0.4
        world.ways[1] = (2, 0.2)
        world.run(milliseconds: 6000)
        let rate = world.content / (world.now - 1e9)
        #expect(rate > 0.38, "\(rate)")
        #expect(world.chooser.current == .none)
    }

    @Test func `pages that cannot be compressed are not`() {
        var world = World(link: 0.117)
        world.ways = [(.infinity, 1), (0.9, 1), (0.4, 1), (0.3, 1), (0.05, 1)]
        world.run(milliseconds: 3000)
        #expect(world.chooser.current == .none)
        #expect(world.content / (world.now - 1e9) > 0.11)
    }

    @Test func `a link that changes is noticed`() {
        var world = World(link: 0.01)
        world.run(milliseconds: 3000)
        #expect(world.chooser.current != .none)
        world.link = 3
        world.run(milliseconds: 6000)
        #expect(world.chooser.current == .none, "\(world.chooser.current)")
        world.link = 0.01
        world.run(milliseconds: 6000)
        #expect(world.chooser.current != .none)
    }
}
