public import Images
public import Linux
public import SystemPackage

/// The files of the host that the descriptions of a dump lead to, as they are recorded.
public struct NeededFiles: Sendable {
    /// One file by one name.
    public struct Item: Sendable {
        public let path: FilePath
        public let status: FileStatus
        public fileprivate(set) var uses: NeededFile.Uses
        public fileprivate(set) var descriptions: [UInt32]
    }

    private struct Key: Hashable {
        let device: DeviceNumber
        let inode: UInt64
        let path: FilePath
    }

    public init() {}

    private var all: [Key: Item] = [:]
    private var keys: [UInt32: Key] = [:]

    /// In the order of their paths.
    public var items: [Item] { all.values.sorted { $0.path.string < $1.path.string } }

    /// Records that a description is of a file.
    mutating func note(_ id: UInt32, _ path: FilePath, _ status: FileStatus, _ uses: NeededFile.Uses) {
        let key = Key(device: status.device, inode: status.inode, path: path)
        keys[id] = key
        all[key, default: Item(path: path, status: status, uses: [], descriptions: [])].uses.formUnion(uses)
        all[key]?.descriptions.append(id)
    }

    /// Takes note of a file before it has a description.
    public mutating func note(_ path: FilePath, _ status: FileStatus, _ uses: NeededFile.Uses) {
        let key = Key(device: status.device, inode: status.inode, path: path)
        all[key, default: Item(path: path, status: status, uses: [], descriptions: [])].uses.formUnion(uses)
    }

    /// Records one more use of a file that is known by a description.
    public mutating func note(_ uses: NeededFile.Uses, of id: UInt32) {
        guard let key = keys[id] else { return }
        all[key]?.uses.formUnion(uses)
    }
}

extension NeededFile.Uses {
    /// What a descriptor is for.
    public init(of seen: SeenDescriptor) {
        let flags = seen.info.flags
        if flags.contains(.path) {
            self = .place
        } else if flags.isDisjoint(with: [.writeOnly, .readWrite]) {
            self = .reading
        } else {
            self = flags.contains(.append) ? .appending : .writing
        }
    }

    /// What a mapping of a file is for.
    public init(of area: MappedArea) {
        let mayWrite = area.protection.contains(.write) || area.details?.flags.contains(.mayWrite) ?? true
        self = area.isShared && mayWrite ? .mappedForWriting : .mapped
    }
}

extension NeededFile {
    /// Describes a file.
    public init(_ item: NeededFiles.Item) {
        self.init(path: item.path)
        let status = item.status
        (descriptions, uses) = (item.descriptions, item.uses)
        (mode, uid, gid, size) = (UInt32(status.mode), status.uid, status.gid, status.size)
        (modified, changed) = (Time(status.modified), Time(status.changed))
        (device, inode) = (status.device.encoded, status.inode)
    }

    /// Whether a file is the very same as it was at the dump, on the very same host: nobody has touched it.
    public func isUntouched(_ status: FileStatus) -> Bool {
        device == status.device.encoded && inode == status.inode && size == status.size
            && modified == Time(status.modified) && changed == Time(status.changed)
    }
}

extension NeededFile.Time {
    public init(_ time: FileStatus.Time) { self.init(seconds: time.seconds, nanoseconds: time.nanoseconds) }
}
