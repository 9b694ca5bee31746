public import Diagnostics
public import Images
public import Linux
public import SystemPackage

/// A regular file that has lost its name and lives on for who has it open, maps it or executes it: a library that was
/// updated, a temporary file that was unlinked at once. Nobody could find it again, so the images keep its content.
public enum GhostFile {
    /// The most that is kept of one file where `--ghost-limit` says nothing else, in bytes: more than any library or
    /// program has, less than what would surprise by filling a disk.
    public static let usualLimit: UInt64 = 1 << 30

    /// What a link of `/proc` has at the end of a name that is gone.
    static let mark = " (deleted)"

    /// The name that a file has lost; nil for one that has a name.
    ///
    /// - Parameters:
    ///   - path: as a link of `/proc` shows it: with " (deleted)" at its end where the name is gone (proc_pid_fd(5)),
    ///     or where the name itself ends so.
    ///   - status: of the file itself.
    public static func lostName(_ path: FilePath, _ status: FileStatus) -> FilePath? {
        let text = path.bytes
        guard text.count > mark.utf8.count, text.suffix(mark.utf8.count).elementsEqual(mark.utf8) else { return nil }
        if let found = try? Files.status(of: path, followLinks: false), found.device == status.device,
            found.inode == status.inode
        {
            return nil
        }
        return FilePath(bytes: Array(text.dropLast(mark.utf8.count)))
    }

    /// Why a file without a name cannot be carried, nil where it can.
    ///
    /// - Parameters:
    ///   - name: the name that it had.
    ///   - isShared: what is written to it is seen by others: it is open, or mapped with MAP_SHARED.
    ///   - limit: the most that may be kept of it, in bytes.
    ///   - linking: a file that has other names yet may be given one more (`--link-remap`).
    public static func obstacle(
        _ name: FilePath, _ status: FileStatus, _ object: Problem.Object, isShared: Bool, limit: UInt64,
        linking: Bool = false
    ) -> Problem? {
        func refusal(_ summary: String, _ remedy: String) -> Problem {
            Problem(.fileDeleted, summary, object: object, remedy: remedy)
        }
        let kinds: [FileStatus.Kind] = [.regular, .directory, .fifo]
        guard let kind = status.kind, kinds.contains(kind) else {
            return refusal(
                "the file, which is neither a regular one nor a directory or a pipe, has been deleted",
                "Close it in the program before the dump")
        }
        if isOfKernel(status) {
            return refusal(
                "the file is in no file system where it could be made anew",
                "It is an object of the kernel or of a driver, or its file system was unmounted lazily: close it, or"
                    + " leave it, before the dump")
        }
        if hasOtherNames(status) && isShared {
            return otherNames(name, status, linking: linking).map { refusal($0.summary, $0.remedy) }
        }
        let stored = storedSize(of: status)
        if kind == .regular && stored > limit {
            return refusal(
                "the file has been deleted, and its \(stored) bytes are more than may be kept (\(limit))",
                "Allow more with --ghost-limit, or give it a name again before the dump")
        }
        return nil
    }

    /// What is kept of a file, in bytes: its holes take no room.
    public static func storedSize(of status: FileStatus) -> UInt64 { min(status.size, status.blocks &* 512) }

    /// It has lost this name and has others: hard links. A directory has but one; its count is of other things.
    static func hasOtherNames(_ status: FileStatus) -> Bool { status.kind != .directory && status.linkCount > 0 }

    /// Whether it is a file with other names, and the directory of the one that it has lost is still there.
    static func canBeLinked(_ name: FilePath, _ status: FileStatus) -> Bool {
        guard status.kind == .regular, hasOtherNames(status) else { return false }
        return (try? Files.status(of: name.removingLastComponent()))?.device == status.device
    }

    /// Why a file that has other names cannot be carried, nil where it is to get one more.
    private static func otherNames(
        _ name: FilePath, _ status: FileStatus, linking: Bool
    ) -> (summary: String, remedy: String)? {
        let summary = "the file has lost this name, and has \(status.linkCount) more that cannot be found"
        guard status.kind == .regular else {
            return (summary, "Give it the old name again (`ln`), or close it before the dump")
        }
        guard canBeLinked(name, status) else {
            return (summary + ", and the directory that it was in is gone", "Close it in the program before the dump")
        }
        if linking { return nil }
        return (
            summary,
            "A copy would not be the file that these names lead to: allow one more with --link-remap, which the restore"
                + " removes, give it the old name again (`ln`), or close it before the dump"
        )
    }

    /// File systems whose files are made by the kernel, and where a new one would mean something else.
    private static let kernelsOwn: Set<String> = [
        "proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "pstore", "devpts",
        "mqueue", "binfmt_misc", "efivarfs", "fusectl", "nsfs", "rpc_pipefs", "resctrl",
    ]

    /// The kernel's own mounts (those of drivers' memory, for one) stand in no list.
    private static func isOfKernel(_ status: FileStatus) -> Bool {
        guard let number = status.mountID, let mounts = try? ProcessDirectory(path: "/proc/self").mounts() else {
            return false
        }
        guard let mount = mounts.first(where: { UInt64(bitPattern: Int64($0.id)) == number }) else { return true }
        return kernelsOwn.contains(String(decoding: mount.fileSystem, as: UTF8.self))
    }
}

/// The deleted files of a tree, each kept once however many descriptions and mappings there are of it.
public struct GhostTable: Sendable {
    /// One file.
    public struct Item: Sendable {
        /// Numbers its image (`ghost-file-ID.img`).
        public var id: UInt32
        public var status: FileStatus
        /// Where it can be opened: in `/proc/PID/fd` or `/proc/PID/map_files`, or `/proc/PID/exe`.
        public var place: FilePath
    }

    /// In the order in which they were found.
    public private(set) var items: [Item] = []
    /// Which descriptions are of them (`remap-fpath.img`).
    public private(set) var remaps: [RemapFilePathEntry] = []
    private var known: [Identity: UInt32] = [:]

    private struct Identity: Hashable {
        let device: DeviceNumber
        let inode: UInt64
    }

    init() {}

    /// Records that a description is of a deleted file.
    mutating func add(_ status: FileStatus, at place: FilePath, description: UInt32) {
        let identity = Identity(device: status.device, inode: status.inode)
        let id = known[identity] ?? UInt32(items.count + 1)
        if known[identity] == nil {
            known[identity] = id
            items.append(Item(id: id, status: status, place: place))
        }
        remap(description, to: id, .ghost)
    }

    /// Records that a description is of a file of `/proc` about a process that has ended.
    mutating func add(process pid: Int32, description: UInt32) {
        remap(description, to: UInt32(bitPattern: pid), .procfs)
    }

    /// Records that a description is of a file that another description, by its new name, is of as well.
    mutating func add(linked: UInt32, description: UInt32) { remap(description, to: linked, .linked) }

    private mutating func remap(_ description: UInt32, to id: UInt32, _ type: RemapType) {
        var remap = RemapFilePathEntry()
        remap.origID = description
        remap.remapID = id
        remap.remapType = type
        remaps.append(remap)
    }
}
