public import Diagnostics
public import ImageMessages
internal import SwiftProtobuf
internal import SystemPackage

/// Which pages an image directory has of one address space or shared memory object, and where they are.
public struct Pagemap: Sendable, Equatable {
    /// Names the file with the pages, `pages-ID.img`.
    public var pagesID: UInt32
    /// The runs of pages, sorted by address, without overlap.
    public var runs: [Run]
    /// How the pages are stored, where they are compressed.
    fileprivate(set) var compression: CompressedPages?

    /// The size of a page in the format as this machine writes it.
    public static let pageSize: UInt64 = 4096

    /// Pages that follow each other in memory, and are in the same state.
    public struct Run: Sendable, Equatable {
        /// The address of the first page; in a shared memory object, its offset.
        public var address: UInt64
        /// How many pages, never 0.
        public var pages: UInt64
        public var flags: Flags
        /// Where the first page is in the pages file, in bytes: in what ``ImageDirectory/pagesFile(_:)`` gives, which is not
        /// compressed. Nil where the pages are not in that file.
        public var fileOffset: UInt64?

        /// The size in bytes.
        public var size: UInt64 { pages * Pagemap.pageSize }
        /// The address behind the last byte.
        public var end: UInt64 { address + size }

        public init(address: UInt64, pages: UInt64, flags: Flags, fileOffset: UInt64? = nil) {
            self.address = address
            self.pages = pages
            self.flags = flags
            self.fileOffset = fileOffset
        }
    }

    /// The bits of `PagemapEntry.flags`.
    public struct Flags: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// The pages are those of the parent image directory.
        public static let inParent = Flags(rawValue: 1 << 0)
        /// The pages may be fetched after the process runs again.
        public static let isLazy = Flags(rawValue: 1 << 1)
        /// The pages are in the pages file.
        public static let isPresent = Flags(rawValue: 1 << 2)

        static let known: Flags = [.inParent, .isLazy, .isPresent]
    }

    public init(pagesID: UInt32, runs: [Run]) {
        self.pagesID = pagesID
        self.runs = runs
    }

    /// How many bytes the pages have that are in the pages file.
    public var storedSize: UInt64 { runs.reduce(0) { $0 + ($1.fileOffset == nil ? 0 : $1.size) } }
}

extension ImageDirectory {
    /// Reads a page map and checks that it makes sense: runs are aligned, in order, end within 64 bits, and the pages
    /// file is long enough for them. The pages themselves are not read.
    ///
    /// - Parameters:
    ///   - kind: `.pagemap` by pid, or `.shmemPagemap` by shared memory id.
    /// - Returns: nil where there is no such page map.
    /// - Throws: `image-invalid`, `image-truncated`, `image-missing`, and as ``records(_:id:)``.
    public func pagemap(_ kind: ImageKind<PagemapEntry> = .pagemap, id: UInt64) throws(Problem) -> Pagemap? {
        guard let file = try file(named: kind.layout.fileName(id: id)) else { return nil }
        var cursor = FrameCursor(file)
        try cursor.passHeader(of: kind.layout)
        var map = Pagemap(pagesID: try cursor.frame(PagemapHead.self).pagesID, runs: [])
        var nextOffset: UInt64 = 0
        var nextAddress: UInt64 = 0
        var pieces: [CompressedPages.Piece] = []
        var isCompressed = false
        while !cursor.isAtEnd {
            let entry = try cursor.frame(PagemapEntry.self)
            var run = try Pagemap.Run(checking: entry, from: nextAddress, in: file)
            if run.flags.contains(.isPresent) {
                run.fileOffset = nextOffset
                nextOffset += run.size
            }
            let place = pieces.last.map { $0.place + $0.storedSize } ?? 0
            let piece = try CompressedPages.Piece(checking: entry, of: run, place: place, in: file)
            isCompressed = isCompressed || piece != nil
            if let offset = run.fileOffset {
                let plain = CompressedPages.Piece(
                    offset: offset, place: place, pages: run.pages, blockPages: 1, sizes: [])
                pieces.append(piece ?? plain)
            }
            nextAddress = run.end
            map.runs.append(run)
        }
        if isCompressed { map.compression = CompressedPages(pieces: pieces) }
        try checkPagesFile(of: map)
        if let compression = map.compression, !note(compression, of: map.pagesID) {
            throw .image(.imageInvalid, file.path, "another page map says otherwise how these pages are compressed")
        }
        return map
    }

    private func checkPagesFile(of map: Pagemap) throws(Problem) {
        let needed = map.compression?.fileSize ?? map.storedSize
        guard needed > 0 else { return }
        let file = try storedPagesFile(map.pagesID)
        if file.size < needed {
            throw .image(
                .imageTruncated, file.path, "the file has \(file.size) bytes, but its page map needs \(needed)")
        }
    }
}

extension Pagemap.Run {
    /// - Parameter floor: the run may not begin below: the end of the one before.
    fileprivate init(checking entry: PagemapEntry, from floor: UInt64, in file: ImageFile) throws(Problem) {
        let pages = entry.hasNrPages ? entry.nrPages : UInt64(entry.compatNrPages)
        let place = "the run of \(pages) pages at 0x\(String(entry.vaddr, radix: 16))"
        func invalid(_ reason: String) -> Problem { .image(.imageInvalid, file.path, "\(place) \(reason)") }

        guard pages > 0 else { throw invalid("is empty") }
        guard entry.vaddr % Pagemap.pageSize == 0 else { throw invalid("does not begin at a page") }
        guard entry.vaddr >= floor else { throw invalid("overlaps the one before it, or is out of order") }
        let (size, tooManyPages) = pages.multipliedReportingOverflow(by: Pagemap.pageSize)
        let (_, tooHigh) = entry.vaddr.addingReportingOverflow(size)
        guard !tooManyPages, !tooHigh else { throw invalid("goes beyond the end of all memory") }

        // A field or a bit that is not known may say that the pages are stored in another way: taken for what they are
        // not, they would be garbage in a running process.
        guard entry.unknownFields == UnknownStorage(), Pagemap.Flags.known.isSuperset(of: .init(rawValue: entry.flags))
        else {
            throw .image(
                .imageVersion, file.path, "\(place) is described in a way that is not known",
                remedy: "Restore with the tool that made the images, or with a newer Apus")
        }
        var flags = Pagemap.Flags(rawValue: entry.flags)
        // Before there were flags, what was not in the parent was present.
        if !entry.hasFlags { flags = entry.inParent ? .inParent : .isPresent }
        guard !flags.isSuperset(of: [.inParent, .isPresent]) else {
            throw invalid("is said to be both here and in the parent")
        }
        self.init(address: entry.vaddr, pages: pages, flags: flags)
    }
}
