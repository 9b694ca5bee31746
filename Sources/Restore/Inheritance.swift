internal import Glibc
internal import Images

/// Which memory tasks get from the task that makes them, so that pages which were shared by copy-on-write at the dump
/// are shared again.
///
/// That pages are shared is seen from the images alone: several tasks have the same bytes of the same pages file at the
/// same address. The nearest ancestor that all these tasks have in common maps and reads them before it makes its
/// children, which inherit them; an ancestor may do so for its descendants alone. When all tasks are there, each keeps
/// what is its own, unmaps the rest, and reads only what differs.
struct Inheritance {
    /// A task as far as its memory is concerned.
    struct Member {
        /// The index of the one that makes it; nil for the one that is made first.
        var maker: Int?
        var vmas: [VmaEntry]
        /// Sorted by address.
        var segments: [PageLayers.Segment]
    }

    /// A mapping, or a part of one, that is there before the task's own are made.
    struct Mapped: Equatable {
        var vma: VmaEntry
        var key: MappingKey
        var range: Range<UInt64> { vma.start..<vma.end }
    }

    /// Pages that are there, and where they come from.
    struct Content: Equatable {
        var range: Range<UInt64>
        var source: PageSourceKey

        var segment: PageLayers.Segment {
            PageLayers.Segment(
                address: range.lowerBound, pages: (range.upperBound - range.lowerBound) / Pagemap.pageSize,
                layer: source.layer, pagesID: source.pagesID, fileOffset: range.lowerBound &+ source.distance)
        }
    }

    /// By task: what it maps and reads before it makes its children.
    private(set) var added: [(maps: [Mapped], reads: [Content])] = []
    /// By task: what it has, from others and of its own making, when it comes to its own memory.
    private(set) var mapped: [[Mapped]] = []
    private(set) var content: [[Content]] = []

    /// Nil where no pages are shared.
    init?(_ members: [Member]) {
        let files = Self.filesOfSeveral(members)
        if files.isEmpty { return nil }
        var found = SharedPageSearch(members).ranges(files)
        if found.isEmpty { return nil }
        // Of two versions at one address, the one that more tasks have goes first.
        found.sort { ($0.range.lowerBound, $1.count) < ($1.range.lowerBound, $0.count) }
        var byMaker: [Int: [SharedPageSearch.Found]] = [:]
        for one in found { byMaker[one.maker, default: []].append(one) }
        added = members.map { _ in ([], []) }
        mapped = members.map { _ in [] }
        content = members.map { _ in [] }
        for index in Self.makersFirst(members) {
            let inherited = members[index].maker.map { (mapped[$0], content[$0]) } ?? ([], [])
            var adding = InheritanceBuilder(index, members, inherited: inherited.0)
            for one in byMaker[index] ?? [] { adding.add(one) }
            added[index] = (adding.maps, adding.reads)
            mapped[index] = adding.maps.isEmpty ? inherited.0 : adding.all
            content[index] = adding.reads.isEmpty ? inherited.1 : Self.overlay(inherited.1, with: adding.reads)
        }
        if added.allSatisfy({ $0.reads.isEmpty }) { return nil }
    }

    /// How many makers each has above it.
    static func depths(_ members: [Member]) -> [Int] {
        var depths = [Int?](repeating: nil, count: members.count)
        for index in members.indices {
            var path: [Int] = []
            var next: Int? = index
            while let one = next, depths[one] == nil, path.count <= members.count {
                path.append(one)
                next = members[one].maker
            }
            var depth = next.flatMap { depths[$0] } ?? -1
            for one in path.reversed() {
                depth += 1
                depths[one] = depth
            }
        }
        return depths.map { $0 ?? 0 }
    }

    private static func makersFirst(_ members: [Member]) -> [Int] {
        let depths = depths(members)
        return members.indices.sorted { (depths[$0], $0) < (depths[$1], $1) }
    }

    /// The pages files that several tasks read from: all other memory need not be looked at.
    private static func filesOfSeveral(_ members: [Member]) -> Set<Planner.PagesKey> {
        var users: [Planner.PagesKey: Int] = [:]
        for member in members {
            for file in Set(member.segments.map { Planner.PagesKey(layer: $0.layer, id: $0.pagesID) }) {
                users[file, default: 0] += 1
            }
        }
        return Set(users.filter { $0.value > 1 }.keys)
    }

    /// What is there after some of it has been read anew.
    static func overlay(_ old: [Content], with new: [Content]) -> [Content] {
        var result: [Content] = []
        var next = 0
        for content in old {
            var start = content.range.lowerBound
            let end = content.range.upperBound
            while next < new.count, new[next].range.upperBound <= start {
                result.append(new[next])
                next += 1
            }
            while next < new.count, new[next].range.lowerBound < end {
                if new[next].range.lowerBound > start {
                    result.append(Content(range: start..<new[next].range.lowerBound, source: content.source))
                }
                start = new[next].range.upperBound
                if start > end { break }
                result.append(new[next])
                next += 1
            }
            if start < end { result.append(Content(range: start..<end, source: content.source)) }
        }
        return result + new[next...]
    }
}

/// What two mappings must agree in for one to be inherited as the other: all but the protection, and what is set
/// afterwards.
struct MappingKey: Hashable {
    private var flags: UInt32
    private var status: UInt32
    private var file: UInt64
    private var access: UInt32
    /// Where its file would begin; of anonymous memory, 0.
    private var origin: UInt64
    /// A stack that grows is inherited as a whole or not at all: of two parts, only one would be the stack.
    private var extent: Range<UInt64>?

    /// Nil for a mapping that cannot be inherited copy-on-write: shared, the kernel's own, locked into memory (which
    /// makes a copy of every page), of huge pages, or of a kind that is not made by a plain mmap(2).
    init?(_ vma: VmaEntry) {
        let (locked, hugePages): (UInt32, UInt32) = (UInt32(MAP_LOCKED), UInt32(MAP_HUGETLB))
        guard vma.flags & UInt32(MAP_PRIVATE) != 0, vma.flags & (locked | hugePages) == 0,
            vma.kind.isDisjoint(with: .kernels), vma.kind.isDisjoint(with: MappingStatus.unsupported),
            vma.kind.isDisjoint(with: [.systemV, .socket, .asyncIORing, .shadowStack, .guardPages])
        else { return nil }
        flags = vma.flags
        status = vma.status
        let hasFile = !vma.kind.isDisjoint(with: [.privateFile, .memfd])
        file = hasFile ? vma.shmid : 0
        access = hasFile ? vma.fdflags : 0
        origin = hasFile ? vma.pgoff &- vma.start : 0
        extent = vma.flags & UInt32(MAP_GROWSDOWN) != 0 ? vma.start..<vma.end : nil
    }
}

/// Pages of one pages file, whose place in it is the same distance from their address.
struct PageSourceKey: Hashable {
    var layer: Int
    var pagesID: UInt32
    /// The place in the file less the address, modulo 2^64.
    var distance: UInt64

    init(_ segment: PageLayers.Segment) {
        layer = segment.layer
        pagesID = segment.pagesID
        distance = segment.fileOffset &- segment.address
    }
}

extension VmaEntry {
    /// A part of the mapping.
    func part(_ range: Range<UInt64>) -> VmaEntry {
        var part = self
        part.start = range.lowerBound
        part.end = range.upperBound
        if !kind.isDisjoint(with: [.privateFile, .sharedFile, .memfd]) { part.pgoff += range.lowerBound - start }
        return part
    }
}
