internal import CLinux
internal import Glibc
public import SystemPackage

/// What a new file is given: a name, an owner, times.
extension Files {
    /// linkat(2): gives an open file a name; works for one made by O_TMPFILE as well.
    ///
    /// By way of `/proc/self/fd`: AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH.
    public static func link(
        _ descriptor: Int32, as path: FilePath, at directory: Int32 = workingDirectory
    ) throws(Errno) {
        let result = withAddress(of: FilePath("/proc/self/fd/\(descriptor)")) { old in
            withAddress(of: path) { new in
                outcome(
                    of: Int(SYS_linkat), UInt(signed: workingDirectory), old, UInt(signed: directory), new,
                    UInt(AT_SYMLINK_FOLLOW))
            }
        }
        _ = try result.get()
    }

    /// mkfifo(3), which is mknodat(2).
    public static func makePipe(
        _ path: FilePath, mode: UInt32, at directory: Int32 = workingDirectory
    ) throws(Errno) {
        let mode = UInt(S_IFIFO) | UInt(mode)
        let result = withAddress(of: path) { outcome(of: Int(SYS_mknodat), UInt(signed: directory), $0, mode, 0) }
        _ = try result.get()
    }

    /// fchown(2).
    public static func setOwner(_ descriptor: Int32, uid: UInt32, gid: UInt32) throws(Errno) {
        try call(Int(SYS_fchown), UInt(signed: descriptor), UInt(uid), UInt(gid))
    }

    /// fchmod(2): permission, set-id and sticky bits.
    public static func setMode(_ descriptor: Int32, _ mode: UInt32) throws(Errno) {
        try call(Int(SYS_fchmod), UInt(signed: descriptor), UInt(mode))
    }

    /// futimens(2): the times of the last access and the last change.
    public static func setTimes(
        _ descriptor: Int32, accessed: FileStatus.Time, modified: FileStatus.Time
    ) throws(Errno) {
        var times = (
            apus_timespec(seconds: accessed.seconds, nanoseconds: Int64(accessed.nanoseconds)),
            apus_timespec(seconds: modified.seconds, nanoseconds: Int64(modified.nanoseconds))
        )
        _ = try withAddress(of: &times) { address in
            outcome(of: Int(SYS_utimensat), UInt(signed: descriptor), 0, address, 0)
        }
    }
}
