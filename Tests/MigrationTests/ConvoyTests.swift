import Checkpoint
import Diagnostics
import Testing

@testable import Migration

@Suite struct ConvoyTests {
    /// 1 has the children 2 and 3; 2 has 4, and that 5.
    private let parents: [Int32: Int32] = [2: 1, 3: 1, 4: 2, 5: 4]

    @Test(arguments: [([2, 3], []), ([2, 5], [5]), ([5, 2], [5]), ([4, 3, 2], [4]), ([2, 2], [2]), ([9, 3], [])])
    func `trees that are parts of others are found`(_ pids: [Int32], _ wrong: [Int32]) {
        let found = Convoy.overlaps(pids) { parents[$0] }
        #expect(found.map { $0.object.pid ?? 0 } == wrong)
        #expect(found.allSatisfy { $0.code == .treesOverlap })
    }

    @Test func `parents that lead in circles end`() {
        #expect(Convoy.overlaps([7, 8]) { $0 == 7 ? 9 : $0 == 9 ? 7 : nil }.isEmpty)
    }
}

@Suite struct ChannelsTests {
    @Test func `the pages of a chunk go one way, and chunks go all ways`() {
        for space in [PageSpace.process(1), .process(77), .shared(3)] {
            for count in 1...16 {
                var ways: Set<Int> = []
                for chunk in 0..<UInt64(32) {
                    let start = 0x7f00_0000_0000 + chunk * (2 << 20)
                    let first = Channels.lane(of: space, start, among: count)
                    #expect((0..<count).contains(first))
                    #expect(Channels.lane(of: space, start + (2 << 20) - 4096, among: count) == first)
                    ways.insert(first)
                }
                #expect(ways.count == count)
            }
        }
    }
}
