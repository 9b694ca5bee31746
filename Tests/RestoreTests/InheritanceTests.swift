import Images
import Testing

@testable import Restore

/// What tasks inherit, carried out on paper: in the end each must have its own memory, whatever its ancestors had.
struct InheritanceTests {
    /// An address space on paper, a page each.
    private struct Space {
        var mapped: [UInt64: (key: MappingKey, protection: UInt32)] = [:]
        var content: [UInt64: String] = [:]

        mutating func map(_ vma: VmaEntry, _ key: MappingKey, _ protection: UInt32) {
            for page in stride(from: vma.start, to: vma.end, by: 4096) {
                #expect(mapped[page] == nil, "mapped twice")
                mapped[page] = (key, protection)
            }
        }

        mutating func unmap(_ range: Range<UInt64>) {
            for page in stride(from: range.lowerBound, to: range.upperBound, by: 4096) {
                mapped[page] = nil
                content[page] = nil
            }
        }

        mutating func read(_ segment: PageLayers.Segment) {
            for page in stride(from: segment.address, to: segment.range.upperBound, by: 4096) {
                #expect((mapped[page]?.protection ?? 0) & 2 != 0, "read into what cannot be written")
                content[page] = Self.name(segment, page)
            }
        }

        static func name(_ segment: PageLayers.Segment, _ page: UInt64) -> String {
            "\(segment.layer) \(segment.pagesID) \(segment.fileOffset + page - segment.address)"
        }
    }

    static let base: UInt64 = 0x40_0000

    private func vma(_ first: UInt64, _ count: UInt64, prot: UInt32 = 3, flags: UInt32 = 0x22) -> VmaEntry {
        var vma = VmaEntry()
        vma.start = Self.base + first * 4096
        vma.end = vma.start + count * 4096
        vma.prot = prot
        vma.flags = flags
        vma.status = (MappingStatus.regular.union(.privateAnonymous)).rawValue
        vma.pgoff = 0
        vma.shmid = 0
        vma.fd = -1
        return vma
    }

    /// Pages of a version: the place in the file says which.
    private func segment(_ page: UInt64, version: UInt64, file: UInt32 = 1, layer: Int = 1) -> PageLayers.Segment {
        PageLayers.Segment(
            address: Self.base + page * 4096, pages: 1, layer: layer, pagesID: file,
            fileOffset: (version * 1000 + page) * 4096)
    }

    /// Carries out what is planned for a tree, and compares each task's memory with what it is to be.
    private func carryOut(_ members: [Inheritance.Member]) -> (reads: Int, all: Int) {
        guard let inheritance = Inheritance(members) else { return (0, 0) }
        var atFork = members.map { _ in Space() }
        var (reads, all) = (0, 0)
        let depths = Inheritance.depths(members)
        for index in members.indices.sorted(by: { depths[$0] < depths[$1] }) {
            var space = members[index].maker.map { atFork[$0] } ?? Space()
            for mapped in inheritance.added[index].maps {
                space.map(mapped.vma, mapped.key, mapped.vma.protectionWhileFilled)
            }
            for content in inheritance.added[index].reads {
                space.read(content.segment)
                reads += Int(content.segment.pages)
            }
            atFork[index] = space
        }
        for (index, member) in members.enumerated() {
            var space = atFork[index]
            let inherited = InheritedMemory(
                mapped: inheritance.mapped[index], content: inheritance.content[index], vmas: member.vmas)
            for range in inherited.unwanted { space.unmap(range) }
            for vma in member.vmas {
                guard let key = MappingKey(vma) else { continue }
                for part in inherited.missing(of: vma) { space.map(part, key, vma.protectionWhileFilled) }
            }
            for range in inherited.surplus(over: member.segments) {
                for page in stride(from: range.lowerBound, to: range.upperBound, by: 4096) {
                    #expect(space.content[page] != nil, "nothing to drop")
                    space.content[page] = nil
                }
            }
            for segment in inherited.missing(of: member.segments) {
                space.read(segment)
                reads += Int(segment.pages)
            }
            for vma in member.vmas {
                for page in stride(from: vma.start, to: vma.end, by: 4096) {
                    let there = space.mapped.removeValue(forKey: page)
                    #expect(there?.key == MappingKey(vma))
                    let opened = there?.protection != vma.prot
                    #expect(!opened || vma.prot & 2 == 0 || inherited.isOtherwiseProtected(vma))
                }
            }
            #expect(space.mapped.isEmpty, "task \(index) keeps what is not its own")
            var wanted: [UInt64: String] = [:]
            for segment in member.segments { wanted[segment.address] = Space.name(segment, segment.address) }
            all += member.segments.count
            #expect(space.content == wanted, "task \(index)")
        }
        return (reads, all)
    }

    @Test func childrenInheritWhatTheyShare() {
        let memory = vma(0, 100)
        let shared = (0..<100).map { segment($0, version: 0) }
        var child = shared
        child[7] = segment(7, version: 0, file: 2, layer: 0)
        child.remove(at: 50)
        let counts = carryOut([
            .init(maker: nil, vmas: [memory], segments: shared),
            .init(maker: 0, vmas: [memory], segments: child), .init(maker: 0, vmas: [memory], segments: shared),
        ])
        #expect(counts.reads == 101)
        #expect(counts.all == 299)
    }

    @Test func anAncestorReadsWhatItHasNotItself() {
        let counts = carryOut([
            .init(maker: nil, vmas: [], segments: []),
            .init(maker: 0, vmas: [vma(0, 4)], segments: (0..<4).map { segment($0, version: 1) }),
            .init(maker: 0, vmas: [vma(0, 4, prot: 1)], segments: (0..<4).map { segment($0, version: 1) }),
        ])
        #expect(counts.reads == 4)
    }

    @Test func anotherKindOfMappingIsNotInherited() {
        let pages = (0..<4).map { segment($0, version: 1) }
        for other in [vma(0, 4, flags: 0x2022), vma(0, 4, flags: 0x122), vma(0, 4, flags: 0x4022)] {
            let counts = carryOut([
                .init(maker: nil, vmas: [vma(0, 4)], segments: pages),
                .init(maker: 0, vmas: [other], segments: pages),
            ])
            #expect(counts.reads == 0 && counts.all == 0)
        }
    }

    @Test func nothingIsInheritedOfFilesOfOnesOwn() {
        let members = (0..<3).map { number in
            Inheritance.Member(
                maker: number == 0 ? nil : 0, vmas: [vma(0, 4)],
                segments: [segment(1, version: 0, file: UInt32(number + 1))])
        }
        #expect(Inheritance(members) == nil)
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func everyTaskEndsWithItsOwnMemory(seed: UInt64) {
        var random = Numbers(seed)
        let flags: [UInt32] = [0x22, 0x22, 0x22, 0x4022, 0x122]
        var members: [Inheritance.Member] = []
        for index in 0..<Int.random(in: 2...8, using: &random) {
            var vmas: [VmaEntry] = []
            var page: UInt64 = 0
            while page < 60 {
                page += UInt64.random(in: 0...6, using: &random)
                let count = UInt64.random(in: 1...20, using: &random)
                vmas.append(
                    vma(
                        page, count, prot: [1, 3, 3, 7][Int.random(in: 0...3, using: &random)],
                        flags: flags[Int.random(in: 0...4, using: &random)]))
                page += count
            }
            var segments: [PageLayers.Segment] = []
            for vma in vmas {
                for page in (vma.start - Self.base) / 4096..<(vma.end - Self.base) / 4096 {
                    switch Int.random(in: 0...5, using: &random) {
                    case 0: continue
                    case 1: segments.append(segment(page, version: 0, file: UInt32(10 + index), layer: 0))
                    case 2: segments.append(segment(page, version: 1))
                    default: segments.append(segment(page, version: 0))
                    }
                }
            }
            let maker = index == 0 ? nil : Int.random(in: 0..<index, using: &random)
            members.append(.init(maker: maker, vmas: vmas, segments: segments))
        }
        // A maker may come behind those that it makes.
        if seed % 2 == 0 {
            let last = members.count - 1
            members = members.reversed().map {
                .init(maker: $0.maker.map { last - $0 }, vmas: $0.vmas, segments: $0.segments)
            }
        }
        _ = carryOut(members)
    }
}

/// Numbers that are the same at every run (SplitMix64).
private struct Numbers: RandomNumberGenerator {
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
