public import SystemPackage

/// A file lock, as a line of `/proc/locks` or of fdinfo (proc_locks(5)).
public struct FileLock: Sendable, Equatable {
    public var kind: Kind
    public var isMandatory: Bool
    /// A lease that somebody else has asked to be given up or lowered; `mode` is what it is to become.
    public var isBreaking: Bool
    /// Nobody holds it: a process waits for it.
    public var isWaiting: Bool
    public var mode: Mode
    /// The process that took it; -1 for one of an open file description, 0 for one that cannot be seen from here.
    public var pid: Int32
    public var device: DeviceNumber
    public var inode: UInt64
    public var start: UInt64
    /// The last byte; nil for the end of the file.
    public var last: UInt64?

    public enum Kind: Sendable, Equatable {
        /// flock(2).
        case flock
        /// fcntl(2) of a process.
        case posix
        /// fcntl(2) of an open file description.
        case description
        /// F_SETLEASE, and the like within the kernel.
        case lease
        case other(String)
    }

    public enum Mode: Sendable, Equatable {
        case read, write
        /// A lease being given up.
        case unlocked
        case other(String)
    }

    /// Parses `lock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF`, the first key left out or not.
    init(_ line: TextCursor) throws(ProcfsError) {
        var line = line
        _ = line.take(text: "lock:")
        _ = try line.number("the lock's number") as UInt64
        try line.expect(":")
        line.skipBlanks()
        isWaiting = line.take(text: "->")
        let name = String(decoding: line.word(), as: UTF8.self)
        // Breaking and active are leases, advisory and mandatory locks; MSNFS is LOCK_MAND, which went with Linux 5.17.
        let manner = String(decoding: line.word(), as: UTF8.self)
        isMandatory = manner == "MANDATORY"
        isBreaking = manner == "BREAKING"
        kind =
            switch name {
            case "FLOCK" where manner == "MSNFS": .other(manner)
            case "FLOCK": .flock
            case "POSIX": .posix
            case "OFDLCK": .description
            case "LEASE": .lease
            default: .other(name)
            }
        mode =
            switch String(decoding: line.word(), as: UTF8.self) {
            case "READ": .read
            case "WRITE": .write
            case "UNLCK": .unlocked
            case let name: .other(name)
            }
        pid = try line.number("the owner's pid")
        let major: UInt32 = try line.number("the device", radix: 16)
        try line.expect(":")
        device = DeviceNumber(major: major, minor: try line.number("the device", radix: 16))
        try line.expect(":")
        inode = try line.number("the inode")
        start = try line.number("the start")
        line.skipBlanks()
        last = line.take(text: "EOF") ? nil : try line.number("the end")
    }

    /// Parses `/proc/locks`, which has the waiters of a lock behind it. Lines of locks on no file are left out.
    public static func list(parsing text: [UInt8], file: FilePath = "/proc/locks") -> [FileLock] {
        TextCursor(text, file: file).lines().compactMap { try? FileLock($0) }
    }
}
