public import Diagnostics
public import Images
public import Linux
public import SystemPackage

/// Segments of System V shared memory (sysvipc(7)) that a tree has attached.
///
/// The tree shares the host's IPC namespace, so the segments are the host's; the images keep those that are attached, in
/// the form in which CRIU keeps those of a namespace.
public struct SystemVMemory: Sendable {
    /// One segment, and a mapping through which its content can be read (`/proc/PID/map_files`).
    public struct Item: Sendable {
        public var entry: IpcShmEntry
        public var place: FilePath
    }

    /// In the order in which they were found.
    public private(set) var items: [Item] = []
    private let segments: [Int32: SharedSegment]

    /// - Parameter segments: all of the namespace.
    init(_ segments: [SharedSegment]) {
        self.segments = Dictionary(segments.map { ($0.id, $0) }) { first, _ in first }
    }

    /// Why attached segments cannot be carried.
    ///
    /// - Parameters:
    ///   - mappings: every mapping of a segment in the tree, with its process.
    ///   - segments: all of the namespace.
    /// - Returns: the ids of segments that have more attachments than these mappings, and what is to be said of each.
    public static func obstacles(
        to mappings: [(area: MappedArea, object: Problem.Object)], among segments: [SharedSegment]
    ) -> [(id: UInt64, problem: Problem)] {
        var found: [(id: UInt64, problem: Problem)] = []
        let byID = Dictionary(grouping: mappings) { $0.area.inode }
        for (id, mappings) in byID.sorted(by: { $0.key < $1.key }) {
            guard let segment = segments.first(where: { UInt64(UInt32(bitPattern: $0.id)) == id }) else { continue }
            let outside = segment.attached &- UInt64(mappings.count)
            guard segment.attached > UInt64(mappings.count) else { continue }
            var object = mappings[0].object
            object.address = mappings[0].area.range.lowerBound
            let problem = Problem(
                .leadsOutside,
                "the segment of System V shared memory \(id) is attached \(outside) times outside of the tree, too",
                object: object,
                remedy:
                    "Dump the processes that share it together, by a parent of all, or have the others detach it"
                    + " (`ipcs -mp` shows who made it and who used it last)")
            found.append((id, problem))
        }
        return found
    }

    /// Records the segment behind a mapping.
    ///
    /// - Throws: `object-unreadable` where the kernel does not list it.
    mutating func add(_ area: MappedArea, at place: FilePath, of pid: Int32) throws(Problem) {
        let id = Int32(truncatingIfNeeded: area.inode)
        if items.contains(where: { $0.entry.desc.id == UInt32(bitPattern: id) }) { return }
        guard let segment = segments[id] else {
            throw Problem(
                .objectUnreadable, "its segment of System V shared memory \(id) is not in /proc/sysvipc/shm",
                object: .init(pid: pid, address: area.range.lowerBound), remedy: "Mount the /proc of this host")
        }
        var entry = IpcShmEntry()
        // The name of the mapping keeps the key that one marked for removal had.
        entry.desc.key = UInt32(bitPattern: segment.key == 0 ? area.segmentKey : segment.key)
        entry.desc.uid = segment.uid
        entry.desc.gid = segment.gid
        entry.desc.cuid = segment.creatorUID
        entry.desc.cgid = segment.creatorGID
        entry.desc.mode = segment.mode
        entry.desc.id = UInt32(bitPattern: id)
        entry.size = segment.size
        entry.inPagemaps = true
        items.append(Item(entry: entry, place: place))
    }
}

extension MappedArea {
    /// Of a mapping of a segment: the key with which the segment was made (`/SYSV0000002a (deleted)`).
    public var segmentKey: Int32 {
        let digits = shownPath.dropFirst("/SYSV".utf8.count).prefix(8)
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16).map(Int32.init(bitPattern:)) ?? 0
    }
}

extension Descriptions {
    /// Keeps numbers from being given to shared memory of other kinds.
    public func reserve(sharedMemory numbers: [UInt32]) { sharedMemory.taken.formUnion(numbers) }

    /// Records the segment of System V shared memory behind a mapping.
    ///
    /// - Parameter place: the file of `/proc/PID/map_files`.
    public func capture(segment area: MappedArea, of pid: Int32, at place: FilePath) throws(Problem) {
        if systemV == nil {
            do throws(ProcfsError) { systemV = SystemVMemory(try Procfs.live.sharedSegments()) } catch {
                throw Problem(
                    .objectUnreadable, "the segments of System V shared memory cannot be listed (\(error.description))",
                    object: .init(pid: pid), remedy: "Mount the /proc of this host")
            }
        }
        try systemV?.add(area, at: place, of: pid)
    }
}
