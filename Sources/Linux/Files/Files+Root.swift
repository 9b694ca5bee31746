internal import CLinux
public import SystemPackage

/// The directories from which this process resolves names.
extension Files {
    /// fchdir(2).
    public static func changeDirectory(_ directory: Int32) throws(Errno) {
        try call(Int(SYS_fchdir), UInt(signed: directory))
    }

    /// chroot(2).
    public static func changeRoot(_ path: FilePath) throws(Errno) {
        _ = try withAddress(of: path) { outcome(of: Int(SYS_chroot), $0) }.get()
    }

    /// fchmodat(2), following links.
    public static func setMode(_ path: FilePath, _ mode: UInt32) throws(Errno) {
        _ = try withAddress(of: path) { outcome(of: Int(SYS_fchmodat), UInt(signed: workingDirectory), $0, UInt(mode)) }
            .get()
    }

    /// fchownat(2), following links.
    public static func setOwner(_ path: FilePath, uid: UInt32, gid: UInt32) throws(Errno) {
        _ = try withAddress(of: path) {
            outcome(of: Int(SYS_fchownat), UInt(signed: workingDirectory), $0, UInt(uid), UInt(gid), 0)
        }.get()
    }
}
