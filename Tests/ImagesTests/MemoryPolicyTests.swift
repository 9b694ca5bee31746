import Diagnostics
import Images
import Testing

@Suite struct MemoryPolicyTests {
    private func reduced(_ mode: UInt32, _ nodes: [Int], to there: [Int]) -> [Int]? {
        MemoryPolicy(mode: mode, nodes: nodes).reduced(to: there)?.nodes
    }

    @Test func whatIsLeftOnAnotherHost() {
        #expect(reduced(3, [0, 1, 2], to: [0, 2, 5]) == [0, 2])
        #expect(reduced(2, [1], to: [0]) == nil)
        #expect(reduced(4, [], to: [0]) == [])
        // MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES
        #expect(reduced(3 | 1 << 15, [0, 1], to: [0]) == [0, 1])
        #expect(reduced(3 | 1 << 14, [3], to: [0]) == [3])
        #expect(MemoryPolicy(mode: 3 | 1 << 14, nodes: [3]).isWhole(on: [0]))
        #expect(!MemoryPolicy(mode: 3 | 1 << 15, nodes: [0, 1]).isWhole(on: [0]))
    }

    @Test func throughTheSupplement() throws {
        let policy = MemoryPolicy(mode: 32770, nodes: [0, 9, 1023])
        #expect(MemoryPolicy(.object(policy.members)) == policy)
        #expect(MemoryPolicy(mode: 32770, mask: policy.mask) == policy)
        #expect(policy.description == "bind 0,9,1023")
        var traits = MemoryTraits()
        traits.policies = [.init(range: 0x1000..<0x3000, policy: policy)]
        #expect(MemoryTraits(traits.json) == traits)
    }

    @Test(arguments: [[1024], [3, 3], [3, 2], [-1]])
    func nodesThatMakeNoSense(_ nodes: [Int]) {
        let json = JSON.object([.init("mode", 1), .init("nodes", .array(nodes.map { JSON.number($0) }))])
        #expect(MemoryPolicy(json) == nil)
    }
}
