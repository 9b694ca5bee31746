internal import CLinux
public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A description of a file that lives in memory: memfd_create(2). The images keep shared anonymous mappings as such,
/// too, under the name `/dev/zero`.
public struct MemoryFile: Resource {
    let inode: MemfdInodeEntry
    let flags: OpenFlags
    let position: UInt64
    let content: StoredMemory

    /// - Parameter flags: how it was opened, or how a mapping needs it to be.
    public init(_ inode: MemfdInodeEntry, flags: UInt32, position: UInt64, content: StoredMemory) {
        self.inode = inode
        self.flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: flags))
        self.position = position
        self.content = content
    }

    private var isAnonymous: Bool {
        inode.nameBytes == Array("/dev/zero".utf8) || inode.nameBytes == Array("/anon_hugepage".utf8)
    }

    public var description: String {
        isAnonymous
            ? "shared memory \(inode.shmid) of \(inode.size) bytes"
            : "memfd \"\(String(decoding: inode.nameBytes, as: UTF8.self))\" of \(inode.size) bytes"
    }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            if site.memoryFiles[inode.inodeID] == nil {
                let made = SharedDescriptor(try make())
                site.memoryFiles[inode.inodeID] = made
                if isSealedLate { site.lateSeals.append((made, inode.seals)) }
            }
            guard let file = site.memoryFiles[inode.inodeID] else { throw .badFileDescriptor }
            let descriptor = try Files.open(FilePath("/proc/self/fd/\(file.descriptor.raw)"), flags)
            if position != 0 { _ = try Files.seek(descriptor.raw, to: Int64(bitPattern: position)) }
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be made", cause: .init(error, attempted: "memfd_create, open"),
                remedy: "Run Apus as root, see that /proc is mounted and that there is enough memory")
        }
    }

    /// F_SEAL_FUTURE_WRITE (fcntl(2)) spares the shared mappings that were there before it, so the tree makes its own
    /// first. F_SEAL_SEAL may be among the seals, so they all wait.
    private var isSealedLate: Bool { !isAnonymous && inode.seals & APUS_F_SEAL_FUTURE_WRITE != 0 }

    /// Makes the file with its content; what forbids changes comes last.
    private func make() throws(Errno) -> OwnedDescriptor {
        let hugePages = inode.hasHugetlbFlag ? inode.hugetlbFlag : nil
        if isAnonymous { return try SharedMemory.make(size: inode.size, content, hugePages: hugePages) }
        let sealed: UInt32 = 1  // F_SEAL_SEAL: what a memfd without MFD_ALLOW_SEALING has
        var how = MemoryFileFlag.closeOnExec
        if inode.seals != sealed { how |= MemoryFileFlag.allowSealing }
        if inode.hasHugetlbFlag { how |= MemoryFileFlag.hugePages | inode.hugetlbFlag }
        let file = try Files.memory(named: FilePath(bytes: inode.nameBytes), flags: how)
        try Files.truncate(file.raw, to: inode.size)
        if hugePages == nil {
            try content.fill(file.raw)
            // Pages were written whole; the file ends where it ended.
            try Files.truncate(file.raw, to: inode.size)
        } else {
            try content.fill(mapped: file.raw, size: inode.size)
        }
        if inode.hasMode { try call(Int(SYS_fchmod), UInt(file.raw), UInt(inode.mode & 0o7777)) }
        try call(Int(SYS_fchown), UInt(file.raw), UInt(inode.uid), UInt(inode.gid))
        if inode.seals != sealed, inode.seals != 0, !isSealedLate { try Files.addSeals(file.raw, inode.seals) }
        return file
    }
}
