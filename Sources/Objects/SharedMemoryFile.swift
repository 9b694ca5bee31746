public import Diagnostics
public import Images
internal import Linux
public import SystemPackage

/// Memory that several mappings, processes or descriptors share, and that no file system holds: shared anonymous
/// mappings and memfds (memfd_create(2)). The format has one form for both.
public struct SharedMemoryTable: Sendable {
    /// One object.
    public struct Item: Sendable {
        /// Numbers the images of its pages (`pagemap-shmem-ID.img`).
        public var shmid: UInt32
        /// In bytes.
        public var size: UInt64
        /// Where it can be opened: a file of `/proc/PID/map_files` or `/proc/PID/fd`.
        public var place: FilePath
    }

    /// In the order in which they were found.
    public internal(set) var items: [Item] = []
    /// What goes into `memfd.img`.
    public internal(set) var inodes: [MemfdInodeEntry] = []
    var byInode: [UInt64: UInt32] = [:]
    /// Numbers that are taken: those of segments of System V shared memory are their own.
    var taken: Set<UInt32> = []
    var descriptionOf: [UInt64: UInt32] = [:]

    init() {}
}

/// A descriptor of a memfd.
public enum SharedMemoryFile: DescriptionKind {
    public static let name = "memfd"
    private static let prefix = "/memfd:"
    private static let deleted = " (deleted)"

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        seen.linkBegins(with: prefix) && seen.link.suffix(deleted.utf8.count).elementsEqual(deleted.utf8)
            && seen.status.kind == .regular && seen.status.linkCount == 0
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? { nil }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let own = try descriptions.open(seen)
        let place = ProcessDirectory(seen.pid).path.appending("fd").appending("\(seen.number)")
        let name = Array(seen.link.dropFirst(prefix.utf8.count).dropLast(deleted.utf8.count))
        let inode: UInt32
        do throws(Errno) {
            inode = try descriptions.sharedMemory.inode(seen.status, name: name, place: place, own.raw)
        } catch {
            throw descriptions.unreadable(seen, error, "fcntl(F_GET_SEALS)")
        }
        let owner = try descriptions.owner(of: seen, through: own.raw)
        let id = add(inode, flags: seen.descriptionFlags, position: seen.info.position, owner, to: descriptions)
        return DescriptionKey(.memfd, id)
    }

    private static func add(
        _ inode: UInt32, flags: UInt32, position: UInt64, _ owner: FownEntry, to descriptions: Descriptions
    ) -> UInt32 {
        let id = descriptions.nextID()
        var file = MemfdFileEntry()
        file.id = id
        file.flags = flags
        file.pos = position
        file.fown = owner
        file.inodeID = inode
        var entry = FileEntry()
        entry.type = .memfd
        entry.id = id
        entry.memfd = file
        descriptions.add(entry)
        return id
    }

    /// Records shared memory by one of its mappings.
    ///
    /// - Parameters:
    ///   - name: as in `/proc/PID/maps`, with " (deleted)" at the end.
    ///   - place: the file of `/proc/PID/map_files`.
    /// - Returns: the id of a description to map from.
    public static func capture(
        mappingNamed name: [UInt8], of pid: Int32, at place: FilePath, into descriptions: Descriptions
    ) throws(Problem) -> UInt32 {
        var name = name
        if name.suffix(deleted.utf8.count).elementsEqual(deleted.utf8) { name.removeLast(deleted.utf8.count) }
        if name.starts(with: prefix.utf8) { name.removeFirst(prefix.utf8.count) }
        do throws(Errno) {
            let own = try Files.open(place, .readOnly)
            let status = try Files.status(ofDescriptor: own.raw)
            if let known = descriptions.sharedMemory.descriptionOf[status.inode] { return known }
            let inode = try descriptions.sharedMemory.inode(status, name: name, place: place, own.raw)
            let id = add(inode, flags: 0, position: 0, FileOwner.none, to: descriptions)
            descriptions.sharedMemory.descriptionOf[status.inode] = id
            return id
        } catch {
            throw Problem(
                .objectUnreadable, "its shared memory cannot be opened", object: .init(pid: pid, path: place.string),
                cause: .init(error, attempted: "open(\"\(place)\")"),
                remedy: "Run Apus as root (CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE)")
        }
    }
}

extension SharedMemoryTable {
    /// The number of an inode in `memfd.img`.
    mutating func inode(
        _ status: FileStatus, name: [UInt8], place: FilePath, _ descriptor: Int32
    ) throws(Errno) -> UInt32 {
        if let known = byInode[status.inode] { return known }
        var entry = MemfdInodeEntry()
        entry.nameBytes = name
        entry.uid = status.uid
        entry.gid = status.gid
        entry.size = status.size
        // The inode's number: unique on the one file system that all shared memory is on.
        entry.shmid = UInt32(truncatingIfNeeded: status.inode)
        while !taken.insert(entry.shmid).inserted { entry.shmid &+= 1 }
        entry.seals = try Files.seals(descriptor)
        // As for memfd_create(2): the binary logarithm of the size of a huge page from bit 26 on.
        if let size = try Files.hugePageSize(descriptor) { entry.hugetlbFlag = UInt32(size.trailingZeroBitCount) << 26 }
        let number = UInt32(inodes.count + 1)
        entry.inodeID = UInt64(number)
        entry.mode = UInt32(status.mode)
        inodes.append(entry)
        items.append(Item(shmid: entry.shmid, size: status.size, place: place))
        byInode[status.inode] = number
        return number
    }
}
