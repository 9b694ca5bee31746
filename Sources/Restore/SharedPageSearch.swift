internal import Images
internal import Memory

/// Looks for pages that several tasks have in common.
struct SharedPageSearch {
    /// Pages that several tasks have.
    struct Found: Equatable {
        var range: Range<UInt64>
        var source: PageSourceKey
        var key: MappingKey
        /// The nearest common ancestor, or one of the tasks themselves.
        var maker: Int
        /// One of the tasks.
        var example: Int
        /// How many there are.
        var count: Int
    }

    private struct Place: Hashable {
        var source: PageSourceKey
        var key: MappingKey
    }

    private struct Part {
        var range: Range<UInt64>
        var task: Int
    }

    private let members: [Inheritance.Member]
    private let depths: [Int]

    init(_ members: [Inheritance.Member]) {
        self.members = members
        depths = Inheritance.depths(members)
    }

    /// - Parameter files: the pages files that matter.
    /// - Returns: in no order.
    func ranges(_ files: Set<Planner.PagesKey>) -> [Found] {
        var parts: [Place: [Part]] = [:]
        for index in members.indices { collect(index, files, into: &parts) }
        var found: [Found] = []
        for (place, parts) in parts where parts.count > 1 { sweep(parts, place, into: &found) }
        return found
    }

    /// The pages of one task, by mapping.
    private func collect(_ index: Int, _ files: Set<Planner.PagesKey>, into parts: inout [Place: [Part]]) {
        let vmas = members[index].vmas
        var keys: [Int: MappingKey?] = [:]
        var next = 0
        for segment in members[index].segments {
            guard files.contains(.init(layer: segment.layer, id: segment.pagesID)) else { continue }
            let end = segment.address + segment.pages * Pagemap.pageSize
            while next < vmas.count, vmas[next].end <= segment.address { next += 1 }
            var look = next
            while look < vmas.count, vmas[look].start < end {
                let key = keys[look] ?? MappingKey(vmas[look])
                keys[look] = .some(key)
                if let key {
                    let range = max(segment.address, vmas[look].start)..<min(end, vmas[look].end)
                    parts[Place(source: PageSourceKey(segment), key: key), default: []]
                        .append(Part(range: range, task: index))
                }
                look += 1
            }
        }
    }

    /// Where several have the same place.
    private func sweep(_ parts: [Part], _ place: Place, into found: inout [Found]) {
        var edges: [(address: UInt64, task: Int, begins: Bool)] = []
        for part in parts {
            edges.append((part.range.lowerBound, part.task, true))
            edges.append((part.range.upperBound, part.task, false))
        }
        edges.sort { $0.address < $1.address }
        var present: [Int] = []
        var last: UInt64 = 0
        for edge in edges {
            if present.count > 1, edge.address > last {
                let maker = present.dropFirst().reduce(present[0], ancestor)
                found.append(
                    Found(
                        range: last..<edge.address, source: place.source, key: place.key, maker: maker,
                        example: present[0], count: present.count))
            }
            last = edge.address
            if edge.begins { present.append(edge.task) } else { present.removeAll { $0 == edge.task } }
        }
    }

    /// The nearest task from which both descend.
    private func ancestor(_ one: Int, _ other: Int) -> Int {
        var (one, other) = (one, other)
        while one != other {
            if depths[one] < depths[other] { (one, other) = (other, one) }
            // Two without a maker cannot be: there is one root.
            guard let maker = members[one].maker else { return one }
            one = maker
        }
        return one
    }
}

/// Decides what one task maps and reads before it makes its children.
struct InheritanceBuilder {
    private let index: Int
    private let members: [Inheritance.Member]
    private let inherited: [Inheritance.Mapped]
    private(set) var maps: [Inheritance.Mapped] = []
    private(set) var reads: [Inheritance.Content] = []

    init(_ index: Int, _ members: [Inheritance.Member], inherited: [Inheritance.Mapped]) {
        self.index = index
        self.members = members
        self.inherited = inherited
    }

    /// Everything that is mapped, sorted by address.
    var all: [Inheritance.Mapped] { (inherited + maps).sorted { $0.vma.start < $1.vma.start } }

    /// Adds shared pages, in rising order. Those that are in the way of others are left for each task to read itself.
    mutating func add(_ found: SharedPageSearch.Found) {
        if let last = reads.last, found.range.lowerBound < last.range.upperBound { return }
        let present = overlapping(found.range, in: inherited) + overlapping(found.range, in: maps)
        guard present.allSatisfy({ $0.key == found.key }) else { return }
        if !gaps(in: found.range).isEmpty {
            guard let vma = mapping(of: found, in: index) ?? mapping(of: found, in: found.example) else { return }
            let start = max(vma.start, maps.last?.vma.end ?? 0)
            for gap in gaps(in: start..<vma.end) {
                maps.append(Inheritance.Mapped(vma: vma.part(gap), key: found.key))
            }
            guard gaps(in: found.range).isEmpty else { return }
        }
        reads.append(Inheritance.Content(range: found.range, source: found.source))
    }

    private func mapping(of found: SharedPageSearch.Found, in member: Int) -> VmaEntry? {
        let vmas = members[member].vmas
        var (low, high) = (0, vmas.count)
        while low < high {
            let middle = (low + high) / 2
            if vmas[middle].end <= found.range.lowerBound { low = middle + 1 } else { high = middle }
        }
        guard low < vmas.count, vmas[low].start <= found.range.lowerBound, found.range.upperBound <= vmas[low].end,
            MappingKey(vmas[low]) == found.key
        else { return nil }
        return vmas[low]
    }

    /// What is not mapped yet of a range.
    private func gaps(in range: Range<UInt64>) -> [Range<UInt64>] {
        let taken = (overlapping(range, in: inherited) + overlapping(range, in: maps)).map(\.range)
        return range.without(taken.sorted { $0.lowerBound < $1.lowerBound })
    }

    private func overlapping(_ range: Range<UInt64>, in list: [Inheritance.Mapped]) -> ArraySlice<Inheritance.Mapped> {
        list.overlapping(range) { $0.range }
    }
}

extension Array {
    /// The elements that overlap a range, found by halving: they are sorted and apart from each other.
    func overlapping(_ range: Range<UInt64>, by place: (Element) -> Range<UInt64>) -> ArraySlice<Element> {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if place(self[middle]).upperBound <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < count, place(self[end]).lowerBound < range.upperBound { end += 1 }
        return self[low..<end]
    }
}
