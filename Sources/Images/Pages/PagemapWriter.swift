public import Diagnostics
public import ImageMessages

/// Writes a page map alone: which pages there are, and whether they are in the pages file that it names or in the
/// parent directory.
public struct PagemapWriter: ~Copyable {
    /// Names the pages file.
    public let pagesID: UInt32
    private var file: ImageWriter
    /// Not written yet: the next run may continue it.
    private var last: Pagemap.Run?

    /// Makes the file.
    ///
    /// - Parameters:
    ///   - kind: `.pagemap` by pid, or `.shmemPagemap` by shared memory id.
    ///   - pagesID: from 1. Page maps that name the same pages file must have the same present runs.
    /// - Throws: `image-unwritable`.
    public init(
        _ kind: ImageKind<PagemapEntry> = .pagemap, id: UInt64, pagesID: UInt32, in directory: ImageDirectory
    ) throws(Problem) {
        var head = PagemapHead()
        head.pagesID = pagesID
        var file = try ImageWriter(creating: kind.layout, id: id, in: directory)
        try file.append(head)
        self.file = file
        self.pagesID = pagesID
    }

    /// Adds a run.
    ///
    /// - Precondition: runs come in the order of their addresses and do not overlap.
    /// - Throws: `image-unwritable`.
    public mutating func add(address: UInt64, pages count: UInt64, flags: Pagemap.Flags) throws(Problem) {
        if count == 0 { return }
        precondition(address % Pagemap.pageSize == 0, "a run begins at a page")
        if let last {
            precondition(last.end <= address, "runs are added in order")
            if last.end == address && last.flags == flags {
                self.last?.pages += count
                return
            }
            try write(last)
        }
        last = Pagemap.Run(address: address, pages: count, flags: flags)
    }

    /// Completes the file.
    ///
    /// - Throws: `image-unwritable`.
    public consuming func finish() throws(Problem) {
        if let last { try write(last) }
        try file.finishWhole()
    }

    private mutating func write(_ run: Pagemap.Run) throws(Problem) {
        var entry = PagemapEntry()
        entry.vaddr = run.address
        // Readers from before 4.2 know the narrow field alone; newer ones prefer the wide one.
        entry.compatNrPages = UInt32(exactly: run.pages) ?? 0
        entry.nrPages = run.pages
        entry.flags = run.flags.rawValue
        try file.append(entry)
    }
}
