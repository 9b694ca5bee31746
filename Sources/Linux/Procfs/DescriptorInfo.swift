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
            guard let key = line.take(until: ":") else {
                // What an io_uring has under way stands in lines of its own kind: `  op=22, task_works=0`.
                guard whole.rest.first == UInt8(ascii: " ") else { throw line.malformed("':' after a key") }
                rest.append(Line(key: Array(whole.rest), value: []))
                continue
            }
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
