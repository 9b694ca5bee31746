public import SystemPackage

extension PageMap {
    /// Reports the pages of a range that have been written to since they were last protected (``WriteProtection``), with
    /// content of their own: present or swapped out, and neither the page of zeros nor a guard.
    ///
    /// - Parameters:
    ///   - range: within one mapping that is registered.
    ///   - protecting: protect what is reported, in the same instant: what is written after that is reported the next time.
    /// - Throws: EPERM where a mapping in the range is not registered; ENOTSUP before Linux 6.7; ESRCH when the process is gone;
    ///   what `body` throws.
    public func written(
        _ range: Range<UInt64>, protecting: Bool, _ body: (PageRun) throws(Errno) -> Void
    ) throws(Errno) {
        guard canScan else { throw .notSupported }
        // A guard passes for a page that is swapped out.
        let without: PageCategories = canTellGuards ? [.zero, .guarded] : .zero
        var query = Query(all: without.union(.written), inverted: without, any: [.present, .swapped])
        query.isOfProtected = true
        query.protects = protecting
        try scan(range, query, body)
    }
}
