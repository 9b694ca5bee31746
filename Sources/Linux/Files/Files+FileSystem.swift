internal import CLinux
internal import Glibc
public import SystemPackage

extension Files {
    /// The size of a huge page of the hugetlbfs that a file is in, in bytes; nil for any other file (fstatfs(2)).
    public static func hugePageSize(_ descriptor: Int32) throws(Errno) -> UInt64? {
        let hugetlbfs: Int64 = 0x9584_58f6
        var status = apus_statfs()
        _ = try withAddress(of: &status) { outcome(of: Int(SYS_fstatfs), UInt(signed: descriptor), $0) }
        return status.type == hugetlbfs ? UInt64(clamping: status.block_size) : nil
    }

    /// Whether programs may be executed from the file system that a path leads to (statfs(2), ST_NOEXEC).
    public static func allowsExecution(_ path: FilePath) throws(Errno) -> Bool {
        let noExecution: UInt64 = 8
        var status = apus_statfs()
        _ = try withAddress(of: &status) { buffer in
            withAddress(of: path) { outcome(of: Int(SYS_statfs), $0, buffer) }
        }
        // The words behind the block size: five counts, the id, the length of names, the fragment size, the flags.
        return status.rest.8 & noExecution == 0
    }
}
