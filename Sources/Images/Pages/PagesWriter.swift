public import Diagnostics
public import ImageMessages
internal import SystemPackage

/// Writes the pages of one address space or shared memory object: the page map, and the file with the pages.
///
/// The pages themselves are put into the file by whoever moves them, by splice(2), pwrite(2) or within the process that
/// is dumped, in the order of the runs that are added here.
public struct PagesWriter: ~Copyable {
    /// Names the pages file.
    public let pagesID: UInt32
    /// Where in the pages file the next run belongs, in bytes.
    public private(set) var offset: UInt64 = 0

    private var map: PagemapWriter
    private var pages: ImageWriter

    /// Makes both files.
    ///
    /// - Parameters:
    ///   - kind: `.pagemap` by pid, or `.shmemPagemap` by shared memory id.
    ///   - pagesID: unique in the directory, from 1.
    /// - Throws: `image-unwritable`.
    public init(
        _ kind: ImageKind<PagemapEntry> = .pagemap, id: UInt64, pagesID: UInt32, in directory: ImageDirectory
    ) throws(Problem) {
        let map = try PagemapWriter(kind, id: id, pagesID: pagesID, in: directory)
        pages = try ImageWriter(creating: RawImage.pages.layout, id: UInt64(pagesID), in: directory)
        self.map = map
        self.pagesID = pagesID
    }

    /// The pages file: a present run's pages go to ``offset``, as it is before the run is added.
    public var pagesDescriptor: Int32 { pages.descriptor }

    /// Adds a run, and moves ``offset`` past its pages where it is present.
    ///
    /// - Precondition: runs come in the order of their addresses and do not overlap.
    /// - Throws: `image-unwritable`.
    public mutating func add(address: UInt64, pages count: UInt64, flags: Pagemap.Flags) throws(Problem) {
        try map.add(address: address, pages: count, flags: flags)
        if flags.contains(.isPresent) { offset += count * Pagemap.pageSize }
    }

    /// Completes both files.
    ///
    /// - Throws: `image-unwritable`, also where the pages file is not as long as its runs.
    public consuming func finish() throws(Problem) {
        let size: UInt64
        do throws(Errno) {
            size = try Posix.status(of: pages.descriptor).size
        } catch {
            throw .unwritable(pages.path, error, attempted: "fstat")
        }
        guard size == offset else {
            throw .image(
                .imageUnwritable, pages.path, "\(size) bytes of pages were written where \(offset) belong",
                remedy: "Repeat the dump; if this comes again, it is a mistake of Apus")
        }
        try map.finish()
        try pages.finish()
    }
}
