public import Linux
public import SystemPackage

/// What one look at the page tables of a large mapping has found, while its process stood still: which pages have content of their
/// own, which of them were written to, and where guards are. To look three times takes three times as long.
public struct PageLook: Sendable {
    /// The mapping.
    public let range: Range<UInt64>
    /// All pages but those that are present, with content of their own, and not written to since they were watched.
    private let others: [PageRun]

    /// Below that it takes no time.
    private static let worthwhile: UInt64 = 16 << 20

    /// Whether a mapping is looked at once for all.
    public static func isWorthwhile(_ area: MappedArea, _ kind: AreaKind) -> Bool {
        (kind == .privateAnonymous || kind == .heap) && !area.isShared && area.size >= worthwhile
    }

    /// Looks.
    ///
    /// - Parameters:
    ///   - map: of a kernel with PAGEMAP_SCAN.
    ///   - watched: it is asked what was written to, too.
    /// - Throws: EPERM where that is asked and not all of the range is watched; ESRCH when the process is gone.
    public init(_ map: borrowing PageMap, _ range: Range<UInt64>, watched: Bool) throws(Errno) {
        var others: [PageRun] = []
        try map.others(range, watched: watched) { (run) throws(Errno) in others.append(run) }
        (self.range, self.others) = (range, others)
    }

    /// The mappings of a process that are looked at once, by their addresses; none where the kernel has no PAGEMAP_SCAN.
    ///
    /// - Parameter known: looks at some of them.
    /// - Throws: ESRCH when the process is gone.
    public static func all(
        _ pid: Int32, _ areas: [(area: MappedArea, kind: AreaKind)], known: [UInt64: PageLook] = [:]
    ) throws(Errno) -> [UInt64: PageLook] {
        let large = areas.lazy.filter { isWorthwhile($0.area, $0.kind) && !isHuge($0.area) }.map(
            \.area.range)
        var looks: [UInt64: PageLook] = [:]
        if large.isEmpty { return looks }
        let map = try PageMap(of: pid)
        guard map.canScan else { return looks }
        for range in large {
            let before = known[range.lowerBound]
            looks[range.lowerBound] =
                before?.range == range ? before : try PageLook(map, range, watched: false)
        }
        return looks
    }

    /// Of these the kernel tells otherwise what is stored.
    private static func isHuge(_ area: MappedArea) -> Bool { area.details?.flags.contains(.hugeTLB) ?? false }

    /// The pages with content of their own, as ``PageMap/populated(_:_:)`` gives them for private memory without a file.
    public var populated: [PageRun] {
        var found: [PageRun] = []
        func add(_ range: Range<UInt64>, _ categories: PageCategories) {
            guard !range.isEmpty else { return }
            if let last = found.last, last.range.upperBound == range.lowerBound, last.categories == categories {
                found[found.count - 1].range = last.range.lowerBound..<range.upperBound
            } else {
                found.append(PageRun(range: range, categories: categories))
            }
        }
        var start = range.lowerBound
        for run in others {
            add(start..<run.range.lowerBound, [])
            if run.isPopulated { add(run.range, run.categories.intersection(.swapped)) }
            start = run.range.upperBound
        }
        add(start..<range.upperBound, [])
        return found
    }

    /// Those of them that were written to.
    public var written: [Range<UInt64>] {
        others.filter { $0.isPopulated && $0.categories.contains(.written) }.map(\.range)
    }

    /// The guards (MADV_GUARD_INSTALL of madvise(2)).
    public var guards: [Range<UInt64>] {
        var found: [Range<UInt64>] = []
        for run in others where run.categories.contains(.guarded) {
            if let last = found.last, last.upperBound == run.range.lowerBound {
                found[found.count - 1] = last.lowerBound..<run.range.upperBound
            } else {
                found.append(run.range)
            }
        }
        return found
    }
}

extension PageRun {
    fileprivate var isPopulated: Bool {
        categories.isDisjoint(with: [.zero, .guarded]) && !categories.isDisjoint(with: [.present, .swapped])
    }
}
