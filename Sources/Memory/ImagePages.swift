public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage

/// Pages on their way into an image directory.
public struct ImagePages: PageSink, ~Copyable {
    private var writer: PagesWriter
    private let counters: PageCounters
    /// Where the next bytes go in the pages file.
    private var position: UInt64 = 0

    /// Makes the page map and the file with the pages.
    public init(
        _ kind: ImageKind<PagemapEntry> = .pagemap, id: UInt64, pagesID: UInt32, in directory: ImageDirectory,
        _ counters: PageCounters
    ) throws(Problem) {
        writer = try PagesWriter(kind, id: id, pagesID: pagesID, in: directory)
        self.counters = counters
    }

    public mutating func add(_ run: StoredRun) throws(Problem) {
        let pages = run.size / Pagemap.pageSize
        if run.flags.contains(.isPresent) { counters.written += pages }
        try writer.add(address: run.address, pages: pages, flags: run.flags)
    }

    @unsafe public mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Problem) {
        try unsafe PagesDescriptor.write(bytes, to: writer.pagesDescriptor, at: position)
        position += UInt64(bytes.count)
    }

    /// Completes both files.
    public consuming func finish() throws(Problem) { try writer.finish() }
}
