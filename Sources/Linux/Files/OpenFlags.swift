internal import CLinux
internal import Glibc

/// The access mode, creation flags and status flags of open(2), as they stand in `/proc/PID/fdinfo` too.
public struct OpenFlags: OptionSet, Sendable, Hashable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let readOnly: OpenFlags = []
    public static let writeOnly = OpenFlags(rawValue: O_WRONLY)
    public static let readWrite = OpenFlags(rawValue: O_RDWR)
    public static let create = OpenFlags(rawValue: O_CREAT)
    public static let exclusive = OpenFlags(rawValue: O_EXCL)
    public static let noControllingTerminal = OpenFlags(rawValue: O_NOCTTY)
    public static let truncate = OpenFlags(rawValue: O_TRUNC)
    public static let append = OpenFlags(rawValue: O_APPEND)
    public static let nonBlocking = OpenFlags(rawValue: O_NONBLOCK)
    public static let dataSync = OpenFlags(rawValue: O_DSYNC)
    public static let sync = OpenFlags(rawValue: O_SYNC)
    public static let async = OpenFlags(rawValue: O_ASYNC)
    public static let direct = OpenFlags(rawValue: APUS_O_DIRECT)
    public static let directory = OpenFlags(rawValue: O_DIRECTORY)
    public static let noFollow = OpenFlags(rawValue: O_NOFOLLOW)
    public static let noAccessTime = OpenFlags(rawValue: APUS_O_NOATIME)
    public static let closeOnExec = OpenFlags(rawValue: O_CLOEXEC)
    public static let path = OpenFlags(rawValue: APUS_O_PATH)
    public static let temporaryFile = OpenFlags(rawValue: APUS_O_TMPFILE_BIT | O_DIRECTORY)

    /// What a 64-bit kernel adds to every file it opens. The C library's O_LARGEFILE is 0 there.
    #if arch(arm64)
        public static let largeFile = OpenFlags(rawValue: 0o400000)
    #else
        public static let largeFile = OpenFlags(rawValue: 0o100000)
    #endif

    /// The two bits of the access mode: O_RDONLY, O_WRONLY, O_RDWR, or 3 (neither, for ioctl only).
    public var accessMode: Int32 { rawValue & O_ACCMODE }
    public var canRead: Bool { !contains(.path) && (accessMode == O_RDONLY || accessMode == O_RDWR) }
    public var canWrite: Bool { !contains(.path) && (accessMode == O_WRONLY || accessMode == O_RDWR) }
}
