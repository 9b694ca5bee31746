public import SystemPackage

/// A file of the host that the processes of a dump need, described by what it is.
public struct NeededFile: Sendable, Equatable {
    /// The ids under which the images know it.
    public var descriptions: [UInt32] = []
    /// The name that leads to it.
    public var path: FilePath
    public var uses: Uses = []
    /// Type and permission bits (inode(7)).
    public var mode: UInt32 = 0
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    /// In bytes.
    public var size: UInt64 = 0
    /// The last changes of its content and of its inode.
    public var modified = Time()
    public var changed = Time()
    /// By which the host of the dump tells it from all others.
    public var device: UInt64 = 0
    public var inode: UInt64 = 0
    /// The build id of an ELF file (elf(5), NT_GNU_BUILD_ID); empty where it has none.
    public var buildID: [UInt8] = []
    /// Of the whole content; nil where that was not read.
    public var digest: ContentDigest?
    /// Why the content was not read.
    public var unread: String?
    /// Where its file system was mounted; nil where that cannot be told.
    public var mount: Mount?
    /// How far it may differ, where the dump was told so (`--file`).
    public var policy: String?
    /// The directory holds a copy.
    public var isShipped = false

    /// How the tree uses it.
    public struct Uses: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Executed.
        public static let executed = Uses(rawValue: 1)
        /// Mapped so that only its content matters: privately, or shared and never written.
        public static let mapped = Uses(rawValue: 2)
        /// Mapped so that the program writes to it.
        public static let mappedForWriting = Uses(rawValue: 4)
        /// Open for reading alone.
        public static let reading = Uses(rawValue: 8)
        /// Open for writing, at the end alone (O_APPEND) or anywhere.
        public static let appending = Uses(rawValue: 16)
        public static let writing = Uses(rawValue: 32)
        /// Open as a place (O_PATH).
        public static let place = Uses(rawValue: 64)
        /// A working or root directory.
        public static let directory = Uses(rawValue: 128)
        /// The loader, or a library, of a program that had not been loaded to its end (ld.so(8)).
        public static let loading = Uses(rawValue: 256)

        static let names: [(Uses, String)] = [
            (.executed, "executed"), (.mapped, "mapped"), (.mappedForWriting, "mapped for writing"),
            (.reading, "reading"), (.appending, "appending"), (.writing, "writing"), (.place, "place"),
            (.directory, "directory"), (.loading, "loading"),
        ]

        /// What is written may differ from what was there at the dump.
        public static let written: Uses = [.mappedForWriting, .appending, .writing]
    }

    /// A point in time since 1970, UTC.
    public struct Time: Sendable, Hashable {
        public var seconds: Int64 = 0
        public var nanoseconds: UInt32 = 0
        public init(seconds: Int64 = 0, nanoseconds: UInt32 = 0) {
            (self.seconds, self.nanoseconds) = (seconds, nanoseconds)
        }
    }

    /// A mount (proc_pid_mountinfo(5)).
    public struct Mount: Sendable, Equatable {
        public var point: FilePath
        public var fileSystem, source: String
        public init(point: FilePath, fileSystem: String, source: String) {
            (self.point, self.fileSystem, self.source) = (point, fileSystem, source)
        }
    }

    public init(path: FilePath) { self.path = path }

    /// Whether it is a regular file.
    public var isRegular: Bool { mode & 0o170000 == 0o100000 }
}
