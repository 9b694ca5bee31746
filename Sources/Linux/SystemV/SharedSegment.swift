public import SystemPackage

/// A segment of System V shared memory as `/proc/sysvipc/shm` shows it (sysvipc(7)).
public struct SharedSegment: Sendable, Equatable {
    /// IPC_PRIVATE 0 for one without a key, and for one that is marked for removal.
    public var key: Int32
    public var id: Int32
    /// Permission bits, SHM_DEST and SHM_LOCKED.
    public var mode: UInt32
    /// In bytes.
    public var size: UInt64
    /// How many mappings there are of it, in all processes: one attachment that was cut in two counts twice.
    public var attached: UInt64
    public var uid: UInt32
    public var gid: UInt32
    /// Of its maker.
    public var creatorUID: UInt32
    public var creatorGID: UInt32

    /// Marked for removal, which comes when nobody has it attached any more (SHM_DEST of shmctl(2)).
    public static let removed: UInt32 = 0o1000
    /// Locked into memory (SHM_LOCKED of shmctl(2)).
    public static let locked: UInt32 = 0o2000

    /// Parses the text: a line of heads, and a line for each segment.
    ///
    /// - Parameter file: named in errors.
    public static func parse(_ text: [UInt8], file: FilePath = "shm") throws(ProcfsError) -> [SharedSegment] {
        var segments: [SharedSegment] = []
        for line in TextCursor(text, file: file).lines().dropFirst() { segments.append(try SharedSegment(line)) }
        return segments
    }

    private init(_ line: TextCursor) throws(ProcfsError) {
        var line = line
        key = try line.number("the key")
        id = try line.number("the id")
        mode = try line.number("the mode", radix: 8)
        size = try line.number("the size")
        let _: Int32 = try line.number("the pid of the maker")
        let _: Int32 = try line.number("the pid of the last user")
        attached = try line.number("the number of attachments")
        uid = try line.number("the owner")
        gid = try line.number("the group")
        creatorUID = try line.number("the maker")
        creatorGID = try line.number("the maker's group")
    }
}

extension Procfs {
    /// All segments of the reader's IPC namespace.
    public func sharedSegments() throws(ProcfsError) -> [SharedSegment] {
        let file = root.appending("sysvipc").appending("shm")
        return try SharedSegment.parse(try ProcessDirectory(path: root).contents(file), file: file)
    }
}
