internal import CLinux
internal import Glibc
public import SystemPackage

/// What the kernel knows about a file (statx(2)).
public struct FileStatus: Sendable, Equatable {
    public var device: DeviceNumber
    public var inode: UInt64
    /// Type and permission bits (inode(7)).
    public var mode: UInt16
    public var linkCount: UInt32
    public var uid: UInt32
    public var gid: UInt32
    /// In bytes.
    public var size: UInt64
    /// Allocated blocks of 512 bytes.
    public var blocks: UInt64
    /// The device that a device node stands for.
    public var representedDevice: DeviceNumber
    /// The last access.
    public var accessed: Time
    /// The last change of the content.
    public var modified: Time
    /// The last change of the inode.
    public var changed: Time
    /// The number of the mount, as in `/proc/PID/mountinfo`; nil on kernels before 5.8.
    public var mountID: UInt64?

    /// A point in time since 1970, UTC.
    public struct Time: Sendable, Hashable {
        public var seconds: Int64
        /// 0 to 999,999,999.
        public var nanoseconds: UInt32

        public init(seconds: Int64, nanoseconds: UInt32) {
            self.seconds = seconds
            self.nanoseconds = nanoseconds
        }
    }

    /// The kind of a file, from the mode's type bits.
    public enum Kind: Sendable, Equatable {
        case regular, directory, symbolicLink, characterDevice, blockDevice, fifo, socket
        /// The type bits are 0: the kernel's anonymous inodes (eventfd, epoll, ...).
        case anonymous
    }

    /// The kind of the file; nil for type bits that inode(7) does not list.
    public var kind: Kind? { Self.kind(ofMode: UInt32(mode)) }

    /// The kind that the type bits of a mode tell.
    public static func kind(ofMode mode: UInt32) -> Kind? {
        switch mode & 0o170000 {
        case 0o100000: .regular
        case 0o040000: .directory
        case 0o120000: .symbolicLink
        case 0o020000: .characterDevice
        case 0o060000: .blockDevice
        case 0o010000: .fifo
        case 0o140000: .socket
        case 0: .anonymous
        default: nil
        }
    }

    /// Permission, set-id and sticky bits.
    public var permissions: UInt16 { mode & 0o7777 }
}

/// The two numbers of a device.
public struct DeviceNumber: Sendable, Hashable {
    public var major: UInt32
    public var minor: UInt32

    public init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// As stat(2) and mknod(2) of the C library give it (makedev(3)): 12 bits of the major at bit 8, the minor's low 8
    /// bits at bit 0, the rest above.
    public init(encoded: UInt64) {
        major = UInt32(truncatingIfNeeded: (encoded >> 8) & 0xfff | (encoded >> 32) & ~0xfff)
        minor = UInt32(truncatingIfNeeded: encoded & 0xff | (encoded >> 12) & ~0xff)
    }

    /// See `init(encoded:)`.
    public var encoded: UInt64 {
        let (major, minor) = (UInt64(major), UInt64(minor))
        return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xff) << 12 | (major & ~0xfff) << 32
    }
}

extension Files {
    /// The status of the file at a path; with `followLinks` off, of the symbolic link itself.
    public static func status(
        of path: FilePath, at directory: Int32 = workingDirectory, followLinks: Bool = true
    ) throws(Errno) -> FileStatus {
        try status(directory, path, flags: followLinks ? 0 : AT_SYMLINK_NOFOLLOW)
    }

    /// The status of an open file (fstat(2)); works for O_PATH descriptors too.
    public static func status(ofDescriptor descriptor: Int32) throws(Errno) -> FileStatus {
        try status(descriptor, "", flags: APUS_AT_EMPTY_PATH)
    }

    /// Of a path with a NUL at its end. A symbolic link is followed.
    static func status(terminated path: [UInt8]) throws(Errno) -> FileStatus {
        try status(workingDirectory, flags: 0) { call in withAddress(ofBytes: path) { address, _ in call(address) } }
    }

    private static func status(_ directory: Int32, _ path: FilePath, flags: Int32) throws(Errno) -> FileStatus {
        try status(directory, flags: flags) { call in withAddress(of: path, call) }
    }

    /// - Parameter lending: gives the call the address of the path.
    private static func status(
        _ directory: Int32, flags: Int32, lending: ((UInt) -> Result<Int, Errno>) -> Result<Int, Errno>
    ) throws(Errno) -> FileStatus {
        // STATX_BASIC_STATS and STATX_MNT_ID; never trigger an automount.
        let (basic, mount): (UInt32, UInt32) = (0x7ff, 0x1000)
        let flags = UInt(signed: flags | APUS_AT_NO_AUTOMOUNT)
        var raw = apus_statx()
        _ = try withAddress(of: &raw) { buffer in
            lending { path in
                outcome(of: Int(SYS_statx), UInt(signed: directory), path, flags, UInt(basic | mount), buffer)
            }
        }
        return FileStatus(raw, hasMountID: raw.mask & mount != 0)
    }
}

extension FileStatus {
    fileprivate init(_ raw: apus_statx, hasMountID: Bool) {
        device = DeviceNumber(major: raw.dev_major, minor: raw.dev_minor)
        inode = raw.inode
        mode = raw.mode
        linkCount = raw.link_count
        uid = raw.uid
        gid = raw.gid
        size = raw.size
        blocks = raw.blocks
        representedDevice = DeviceNumber(major: raw.rdev_major, minor: raw.rdev_minor)
        accessed = Time(seconds: raw.access_time.seconds, nanoseconds: raw.access_time.nanoseconds)
        modified = Time(
            seconds: raw.modification_time.seconds, nanoseconds: raw.modification_time.nanoseconds)
        changed = Time(seconds: raw.change_time.seconds, nanoseconds: raw.change_time.nanoseconds)
        mountID = hasMountID ? raw.mount_id : nil
    }
}
