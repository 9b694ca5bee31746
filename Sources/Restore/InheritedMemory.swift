internal import Images
internal import Memory

/// What a task has inherited, held against what is to be its own.
struct InheritedMemory {
    /// Parts of mappings that stay, sorted by address.
    private let kept: [Inheritance.Mapped]
    /// What goes: mapped for descendants or for the parent alone.
    let unwanted: [Range<UInt64>]
    /// Pages that are there in what stays.
    private let content: [Inheritance.Content]

    static let nothing = InheritedMemory(mapped: [], content: [], vmas: [])

    /// - Parameters:
    ///   - mapped: all that is mapped when the task comes to its own memory.
    ///   - content: the pages in it.
    ///   - vmas: its own mappings, sorted.
    init(mapped: [Inheritance.Mapped], content: [Inheritance.Content], vmas: [VmaEntry]) {
        var kept: [Inheritance.Mapped] = []
        var unwanted: [Range<UInt64>] = []
        for one in mapped {
            let own = vmas.overlapping(one.range) { $0.start..<$0.end }.filter { MappingKey($0) == one.key }
            let ranges = own.map { $0.start..<$0.end }
            for gap in one.range.without(ranges) {
                if let last = unwanted.last, last.upperBound == gap.lowerBound {
                    unwanted[unwanted.count - 1] = last.lowerBound..<gap.upperBound
                } else {
                    unwanted.append(gap)
                }
            }
            for range in ranges {
                kept.append(.init(vma: one.vma.part(range.clamped(to: one.range)), key: one.key))
            }
        }
        self.kept = kept
        self.unwanted = unwanted
        var staying: [Inheritance.Content] = []
        if !kept.isEmpty {
            for one in content {
                for part in kept.overlapping(one.range, by: { $0.range }) {
                    staying.append(.init(range: one.range.clamped(to: part.range), source: one.source))
                }
            }
        }
        self.content = staying
    }

    /// What stays.
    var ranges: [Range<UInt64>] { kept.map(\.range) }

    /// The parts of a mapping that have yet to be mapped.
    func missing(of vma: VmaEntry) -> [VmaEntry] {
        if kept.isEmpty { return [vma] }
        let range = vma.start..<vma.end
        let there = kept.overlapping(range) { $0.range }
        if there.isEmpty { return [vma] }
        return range.without(there.map(\.range)).map(vma.part)
    }

    /// Whether a part of a mapping is there with another protection than its own.
    func isOtherwiseProtected(_ vma: VmaEntry) -> Bool {
        kept.overlapping(vma.start..<vma.end) { $0.range }.contains { $0.vma.protectionWhileFilled != vma.prot }
    }

    /// What has yet to be read.
    func missing(of segments: [PageLayers.Segment]) -> [PageLayers.Segment] {
        if content.isEmpty { return segments }
        var result: [PageLayers.Segment] = []
        for segment in segments {
            let source = PageSourceKey(segment)
            let there = content.overlapping(segment.range) { $0.range }.filter { $0.source == source }
            for range in segment.range.without(there.map(\.range)) {
                result.append(Inheritance.Content(range: range, source: source).segment)
            }
        }
        return result
    }

    /// Pages that are there, and are none of the task's.
    func surplus(over segments: [PageLayers.Segment]) -> [Range<UInt64>] {
        var result: [Range<UInt64>] = []
        for one in content {
            for range in one.range.without(segments.overlapping(one.range) { $0.range }.map(\.range)) {
                if let last = result.last, last.upperBound == range.lowerBound {
                    result[result.count - 1] = last.lowerBound..<range.upperBound
                } else {
                    result.append(range)
                }
            }
        }
        return result
    }
}

extension PageLayers.Segment {
    var range: Range<UInt64> { address..<(address + pages * Pagemap.pageSize) }
}

extension VmaEntry {
    /// PROT_* of mmap(2).
    private static let (read, write): (UInt32, UInt32) = (1, 2)

    /// The protection with which it is mapped until its pages are read into it.
    var protectionWhileFilled: UInt32 { prot & Self.write == 0 ? prot | Self.read | Self.write : prot }
}
