public import SystemPackage

extension PageMap {
    /// What kind of memory a range holds, which decides which of its pages have content of their own.
    public enum Backing: Sendable, Hashable {
        /// A private mapping of nothing: pages present or swapped out, but for the page of zeros. Whether a page is one
        /// of a file is not asked: for that the kernel looks at each page, not at the tables alone (8 ms for each GiB).
        case privateAnonymous
        /// A private mapping, of a file or of nothing: pages written by the process, present or swapped out. Pages of
        /// the file that were only read, and the page of zeros, can be had again without being stored.
        case privateMemory
        /// A private mapping of shared memory that has no file to be had from again (a private map of a memfd or of
        /// `/dev/zero`): any page present or swapped out. The page of zeros does not count.
        case privateOfVolatileFile
        /// Shared anonymous memory: pages present or swapped out.
        ///
        /// A page that another process alone has touched, and this one never, does not show here: ask the object itself
        /// (`SEEK_DATA` through `/proc/PID/map_files`) for all of them.
        case sharedAnonymous
    }

    /// Reports the runs of pages that must be stored, in the order of their addresses. `categories` of the runs holds
    /// `swapped`, so that the caller may know what will have to be read in. Guards are left out, but for kernels 6.13
    /// and 6.14, which have them and cannot tell them from pages that are swapped out.
    ///
    /// Where the page of zeros cannot be told (no PAGEMAP_SCAN, and no right to see page frame numbers), it counts as
    /// populated: zeros are then stored that need not be.
    ///
    /// The kernel is asked for all other pages. What it selects it puts down page by page, and where a program has much
    /// memory, nearly all of it is populated: to ask for the rest takes a quarter of the time (0.7 and 2.8 ms for a GiB).
    ///
    /// - Parameter range: whole mappings, or parts of them, with nothing between, of a process that stands still; and none of
    ///   bare page frames (VM_PFNMAP), which the kernel passes over.
    /// - Throws: ESRCH when the process is gone, and what `body` throws.
    public func populated(
        _ range: Range<UInt64>, _ backing: Backing, _ body: (PageRun) throws(Errno) -> Void
    ) throws(Errno) {
        // A guard passes for a page that is swapped out, and cannot be read.
        var without: PageCategories = canTellGuards ? .guarded : []
        switch backing {
        case .privateMemory: without.formUnion([.file, .zero])
        case .privateAnonymous, .privateOfVolatileFile: without.formUnion(.zero)
        case .sharedAnonymous: break
        }
        if !canTellZeros { without.remove(.zero) }
        // Absent, swapped out (which is not present either), or one of those that need not be stored.
        let others = Query(inverted: .present, any: without.union(.present), reported: without.union(.swapped))
        var start = range.lowerBound
        try scan(range, others) { (run) throws(Errno) in
            if start < run.range.lowerBound { try body(PageRun(range: start..<run.range.lowerBound, categories: [])) }
            start = run.range.upperBound
            if run.categories == .swapped { try body(run) }
        }
        if start < range.upperBound { try body(PageRun(range: start..<range.upperBound, categories: [])) }
    }

    /// Reports all pages of private memory without a file but those that are present with content of their own: absent ones,
    /// those that are swapped out, the page of zeros and guards; and those that were written to, where that is asked.
    /// `categories` of the runs tells which they are.
    ///
    /// - Parameters:
    ///   - range: as above.
    ///   - watched: also those that were written to since they were protected (``WriteProtection``).
    /// - Throws: EPERM where that is asked, and a mapping in the range is not registered; ENOTSUP before Linux 6.7; ESRCH when the
    ///   process is gone; what `body` throws.
    public func others(
        _ range: Range<UInt64>, watched: Bool, _ body: (PageRun) throws(Errno) -> Void
    ) throws(Errno) {
        guard canScan else { throw .notSupported }
        var marks: PageCategories = canTellGuards ? [.zero, .guarded] : .zero
        if watched { marks.insert(.written) }
        var query = Query(
            inverted: .present, any: marks.union(.present), reported: marks.union([.present, .swapped]))
        query.isOfProtected = watched
        try scan(range, query, body)
    }

    /// The same as ``populated(_:_:_:)``, collected.
    public func populated(_ range: Range<UInt64>, _ backing: Backing) throws(Errno) -> [PageRun] {
        var runs: [PageRun] = []
        try populated(range, backing) { (run) throws(Errno) in runs.append(run) }
        return runs
    }
}
