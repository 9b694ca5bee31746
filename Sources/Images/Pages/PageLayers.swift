public import Diagnostics
public import ImageMessages
internal import SystemPackage

/// An image directory and the directories that it builds upon: each dump with a parent holds only the pages that had
/// changed since.
public struct PageLayers: Sendable {
    /// The directory itself, then its parent, and so on.
    public let directories: [ImageDirectory]
    /// Where the pages are, if not in the pages files of the directories.
    public var locator: (any PageLocator)?

    /// A chain is as long as the number of pre-dumps; beyond this somebody wants to tire us out.
    static let longestChain = 512

    /// Follows `parent` from directory to directory.
    ///
    /// - Throws: `image-parent` where a parent cannot be opened, or the chain is a loop or has no end.
    public init(of directory: ImageDirectory) throws(Problem) {
        var directories = [directory]
        var seen: Set<Posix.FileIdentity> = [try directory.identity()]
        while let last = directories.last, let parent = try last.parent() {
            guard seen.insert(try parent.identity()).inserted else {
                throw .image(
                    .imageParent, parent.path, "the chain of parent directories comes back to where it was",
                    remedy: "Point the link `parent` to the directory of the dump before")
            }
            guard directories.count < Self.longestChain else {
                throw .image(
                    .imageParent, directory.path, "the chain of parent directories is longer than \(Self.longestChain)",
                    remedy: "Make a dump without a parent")
            }
            directories.append(parent)
        }
        self.directories = directories
    }

    /// Writes compressed pages of all directories to files without names, so that each is read as any other. Best done
    /// before descriptors get numbers that mean something: these files stay open.
    ///
    /// - Throws: as ``ImageDirectory/pagesFile(_:)`` and ``ImageDirectory/pagemap(_:id:)``.
    public func expand() throws(Problem) {
        for (layer, directory) in directories.enumerated() {
            // What is compressed is known once it is read. The tasks' page maps of the directory itself are images of theirs.
            for name in try directory.fileNames() {
                if let id = ImageKind.shmemPagemap.layout.id(inFileName: name) {
                    _ = try directory.pagemap(.shmemPagemap, id: id)
                } else if layer > 0, let id = ImageKind.pagemap.layout.id(inFileName: name) {
                    _ = try directory.pagemap(id: id)
                }
            }
            try directory.expandPages()
        }
    }

    /// Pages that follow each other in memory and in one pages file.
    public struct Segment: Sendable, Equatable {
        /// What `layer` is of pages that the locator has.
        public static let elsewhere = -1

        /// The address of the first page; in a shared memory object, its offset.
        public var address: UInt64
        /// How many pages.
        public var pages: UInt64
        /// The index in `directories` of the directory that has them; `elsewhere` where the locator has them.
        public var layer: Int
        /// Names the pages file in that directory, or a file of the locator.
        public var pagesID: UInt32
        /// Where the first page is in the pages file, in bytes.
        public var fileOffset: UInt64
        /// The pages may be fetched after the process runs again.
        public var isLazy: Bool

        public init(
            address: UInt64, pages: UInt64, layer: Int, pagesID: UInt32, fileOffset: UInt64, isLazy: Bool = false
        ) {
            self.address = address
            self.pages = pages
            self.layer = layer
            self.pagesID = pagesID
            self.fileOffset = fileOffset
            self.isLazy = isLazy
        }
    }

    /// Says for every page of a page map in which file it is found.
    ///
    /// - Parameter known: the page map in the directory itself, where it was read through that object already.
    /// - Returns: sorted by address. Runs that are nowhere, waiting at a page server, are left out.
    /// - Throws: `image-parent` where a page that is said to be in the parent is not there; and as
    ///   ``ImageDirectory/pagemap(_:id:)``.
    public func segments(
        _ kind: ImageKind<PagemapEntry> = .pagemap, id: UInt64, known: Pagemap? = nil
    ) throws(Problem) -> [Segment] {
        var found: [Segment] = []
        // The gaps that the layers so far have left to their parent.
        var wanted: [Gap]?
        for (layer, directory) in directories.enumerated() {
            if wanted?.isEmpty == true { break }
            let map = if layer == 0, let known { known } else { try directory.pagemap(kind, id: id) }
            guard let map else {
                if wanted == nil { return [] }
                break
            }
            wanted = fill(wanted, from: map, layer: layer, into: &found)
        }
        if let gap = wanted?.first {
            throw .image(
                .imageParent, directories[0].path.appending(kind.layout.fileName(id: id)),
                "\(gap.pages) pages at 0x\(String(gap.address, radix: 16)) are said to be in the parent directory, and "
                    + "are not there",
                remedy: "Copy the directories of all dumps that this one builds upon, and the link `parent` in each")
        }
        found.sort { $0.address < $1.address }
        guard let locator else { return found }
        var located: [Segment] = []
        for segment in found { located += try locator.locate(segment) }
        return located
    }

    private struct Gap {
        var address: UInt64
        var pages: UInt64
        var isLazy: Bool
        var end: UInt64 { address + pages * Pagemap.pageSize }
    }

    /// Takes from one layer what is wanted of it; nil wants everything.
    ///
    /// - Returns: what the layer leaves to its parent, or does not have.
    private func fill(_ wanted: [Gap]?, from map: Pagemap, layer: Int, into found: inout [Segment]) -> [Gap] {
        let wanted =
            wanted
            ?? map.runs.map { Gap(address: $0.address, pages: $0.pages, isLazy: $0.flags.contains(.isLazy)) }
        var left: [Gap] = []
        var index = 0
        for gap in wanted {
            var next = gap.address
            func leave(until end: UInt64) {
                if end > next {
                    left.append(
                        Gap(address: next, pages: (end - next) / Pagemap.pageSize, isLazy: gap.isLazy))
                }
            }
            while index < map.runs.count, map.runs[index].end <= gap.address { index += 1 }
            var look = index
            while look < map.runs.count, map.runs[look].address < gap.end {
                let run = map.runs[look]
                let start = max(run.address, gap.address)
                let end = min(run.end, gap.end)
                leave(until: start)
                next = start
                if let offset = run.fileOffset {
                    found.append(
                        Segment(
                            address: start, pages: (end - start) / Pagemap.pageSize, layer: layer, pagesID: map.pagesID,
                            fileOffset: offset + (start - run.address), isLazy: gap.isLazy))
                } else if run.flags.contains(.inParent) {
                    leave(until: end)
                }
                next = end
                look += 1
            }
            leave(until: gap.end)
        }
        return left
    }
}

extension ImageDirectory {
    func identity() throws(Problem) -> Posix.FileIdentity {
        do throws(Errno) {
            return try Posix.status(of: descriptor).identity
        } catch {
            throw .image(
                .imageUnreadable, path, "the image directory cannot be read",
                cause: .init(error, attempted: "fstat"), remedy: copyAgain)
        }
    }
}
