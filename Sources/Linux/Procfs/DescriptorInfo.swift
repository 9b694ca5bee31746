public import SystemPackage

/// `/proc/PID/fdinfo/FD` (proc_pid_fdinfo(5)).
public struct DescriptorInfo: Sendable, Equatable {
    /// The position of the open file description, in bytes.
    public var position: UInt64
    /// Access mode and status flags of the description; O_CLOEXEC is the descriptor's.
    public var flags: OpenFlags
    /// As in `/proc/PID/mountinfo`; nil before Linux 3.15.
    public var mountID: Int32?
    /// nil before Linux 5.14.
    public var inode: UInt64?
    /// File locks held through the description (FLOCK, OFDLCK) or by the process on the file (POSIX, LEASE).
    public var locks: [FileLock]
    /// The other lines, each kind of object having its own: key, and value without the blanks before it.
    public var rest: [Line]

    /// A line of an object's own.
    public struct Line: Sendable, Equatable {
        /// What stands before the first colon: `eventfd-count`, `tfd`, `sigmask`, `inotify wd`.
        public var key: [UInt8]
        /// What stands behind it.
        public var value: [UInt8]

        public var keyText: String { String(decoding: key, as: UTF8.self) }
        public var valueText: String { String(decoding: value, as: UTF8.self) }
    }

    /// Parses the text.
    ///
    /// - Parameter file: named in errors.
    public init(parsing text: [UInt8], file: FilePath = "fdinfo") throws(ProcfsError) {
        (position, flags, mountID, inode, locks, rest) = (0, [], nil, nil, [], [])
        var hasFlags = false
        for var line in TextCursor(text, file: file).lines() {
            let whole = line
            guard let key = line.take(until: ":") else { throw line.malformed("':' after a key") }
            line.skipBlanks()
            switch String(decoding: key, as: UTF8.self) {
            case "pos":
                // Written as signed: /proc/PID/mem has positions above the signed range.
                position = UInt64(bitPattern: try line.number("a position") as Int64)
            case "flags":
                flags = OpenFlags(rawValue: Int32(bitPattern: try line.number("flags", radix: 8)))
                hasFlags = true
            case "mnt_id": mountID = try line.number("a mount id")
            case "ino" where inode == nil: inode = try line.number("an inode")
            case "lock": locks.append(try FileLock(whole))
            default: rest.append(Line(key: Array(key), value: Array(line.rest)))
            }
        }
        guard hasFlags else { throw ProcfsError(file: file, reason: .malformed("a line flags")) }
    }

    /// The values of the lines with a key, in their order.
    public func values(of key: String) -> [[UInt8]] {
        rest.filter { $0.key.elementsEqual(key.utf8) }.map(\.value)
    }
}

/// A file lock, as a line of `/proc/locks` or of fdinfo (proc_locks(5)).
public struct FileLock: Sendable, Equatable {
    public var kind: Kind
    public var isMandatory: Bool
    public var mode: Mode
    /// The process that took it; -1 for one of an open file description.
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
        // A process that waits for the lock is marked so; it holds nothing, but has the same shape.
        line.skipBlanks()
        _ = line.take(text: "->")
        kind =
            switch String(decoding: line.word(), as: UTF8.self) {
            case "FLOCK": .flock
            case "POSIX": .posix
            case "OFDLCK": .description
            case "LEASE": .lease
            case let name: .other(name)
            }
        isMandatory = line.word().elementsEqual("MANDATORY".utf8)
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
        last = line.word().elementsEqual("EOF".utf8) ? nil : try line.lastNumber()
    }
}

extension TextCursor {
    /// The number in the word just passed over.
    fileprivate func lastNumber() throws(ProcfsError) -> UInt64 {
        var cursor = self
        while cursor.position > 0, cursor.bytes[cursor.position - 1] != UInt8(ascii: " ") { cursor.position -= 1 }
        return try cursor.number("the end")
    }
}
