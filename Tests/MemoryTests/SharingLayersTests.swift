import Diagnostics
import Images
import Testing

@testable import Memory

/// Where pages go that processes share, without any process.
struct SharingLayersTests {
    private func columns(_ list: [(pages: UInt64, sets: [[Int]])]) -> SharedColumns {
        var columns = SharedColumns()
        var address: UInt64 = 0x10000
        for (pages, sets) in list {
            for _ in 0..<pages {
                columns.add(address, sets.map { columns.number(of: $0) })
                address += 4096
            }
        }
        return columns
    }

    @Test func whatAllHaveIsStoredOnce() {
        let layers = SharingLayers(columns([(3, [[0, 1, 2]]), (2, []), (4, [[0, 1, 2]])]), count: 3)
        #expect(layers.levels.count == 1)
        #expect(
            layers.levels[0] == [
                .init(
                    members: [0, 1, 2],
                    pieces: [.init(address: 0x10000, pages: 3, owner: 0), .init(address: 0x15000, pages: 4, owner: 0)])
            ])
        for member in 0..<3 {
            #expect(
                layers.references[member]
                    == [.init(address: 0x10000, pages: 3, level: 0), .init(address: 0x15000, pages: 4, level: 0)])
        }
    }

    @Test func familiesOfTheirOwnHaveFilesOfTheirOwn() {
        let layers = SharingLayers(columns([(1, [[0, 1], [2, 3]])]), count: 4)
        #expect(layers.levels.count == 1)
        #expect(layers.levels[0].map(\.members) == [[0, 1], [2, 3]])
    }

    @Test func asManyVersionsOfAPageAsThereAre() {
        let layers = SharingLayers(
            columns([(1, [[0, 1, 2, 3, 4, 5]]), (1, [[0, 1, 2], [3, 4], [5, 6]])]), count: 7)
        #expect(layers.levels.count == 2)
        #expect(layers.levels[1].map(\.members) == [[3, 4], [5, 6]])
    }

    /// Whatever is shared by whom: who looks from the nearest directory on finds the page of one that shares it.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func everyPageIsFound(seed: UInt64) {
        var random = Numbers(seed)
        let count = Int.random(in: 2...9, using: &random)
        var list: [(pages: UInt64, sets: [[Int]])] = []
        for _ in 0..<Int.random(in: 1...40, using: &random) {
            // Each process has one of a few versions of the page, or one of its own.
            let versions = (0..<count).map { _ in Int.random(in: 0...4, using: &random) }
            let sets = (1...4).map { one in (0..<count).filter { versions[$0] == one } }.filter { $0.count > 1 }
            list.append((UInt64.random(in: 1...3, using: &random), sets))
        }
        let shared = columns(list)
        let layers = SharingLayers(shared, count: count)
        for column in shared.columns {
            for page in 0..<column.pages {
                let address = column.address + page * 4096
                for member in 0..<count {
                    guard let reference = layers.references[member].first(where: { $0.covers(address) }) else {
                        continue
                    }
                    let set = column.versions.map { shared.sets[$0] }.first { $0.contains(member) }
                    let owner = Self.owner(of: address, for: member, layers)
                    #expect(set?.contains(owner?.owner ?? -1) == true)
                    #expect(owner?.level == reference.level)
                }
            }
        }
    }

    private static func owner(
        of address: UInt64, for member: Int, _ layers: SharingLayers
    ) -> (owner: Int, level: Int)? {
        for level in layers.levels.indices.reversed() {
            for group in layers.levels[level] where group.members.contains(member) {
                if let piece = group.pieces.first(where: { $0.address <= address && address < $0.end }) {
                    return (piece.owner, level)
                }
            }
        }
        return nil
    }

    @Test func runsAreCutWhereTheyAreShared() {
        let runs: [StoredRun] = [
            .init(address: 0x1000, size: 0x5000, flags: .isPresent), .init(address: 0x8000, size: 0x1000, flags: []),
        ]
        let cut = runs.referring(to: [
            .init(address: 0x2000, pages: 1, level: 0), .init(address: 0x4000, pages: 2, level: 1),
        ])
        #expect(
            cut == [
                .init(address: 0x1000, size: 0x1000, flags: .isPresent),
                .init(address: 0x2000, size: 0x1000, flags: .inParent),
                .init(address: 0x3000, size: 0x1000, flags: .isPresent),
                .init(address: 0x4000, size: 0x2000, flags: .inParent),
                .init(address: 0x8000, size: 0x1000, flags: []),
            ])
    }

    @Test func framesAreComparedWhereSeveralHavePages() {
        let members: [FrameComparison.Member] = [
            .init(pid: 1, ranges: [0..<40, 60..<70]), .init(pid: 2, ranges: [20..<50]),
            .init(pid: 3, ranges: [30..<65]),
        ]
        #expect(
            FrameComparison.overlaps(of: members) == [
                .init(range: 20..<30, members: [0, 1]), .init(range: 30..<40, members: [0, 1, 2]),
                .init(range: 40..<50, members: [1, 2]), .init(range: 60..<65, members: [0, 2]),
            ])
        #expect(FrameComparison.groups([7, 0, 9, 7, 0, 9, 7, 5]) == [[0, 3, 6], [2, 5]])
    }
}

extension SharingLayers.Reference {
    fileprivate func covers(_ place: UInt64) -> Bool { address <= place && place < end }
}

/// Numbers that are the same at every run (SplitMix64).
struct Numbers: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
