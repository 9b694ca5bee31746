internal import CLinux
internal import Glibc
public import SystemPackage

/// A name in a directory.
public struct DirectoryEntry: Sendable, Equatable {
    /// The name's bytes.
    public var name: [UInt8]
    /// The inode's number.
    public var inode: UInt64
    /// The file's kind (DT_* of getdents64(2)): 4 directory, 8 regular, 10 symbolic link; 0 where not known.
    public var kind: UInt8

    /// The name as a number, as directories of `/proc` have them; nil for any other name.
    public var number: Int32? {
        guard let first = name.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else { return nil }
        // Only the digits of a canonical number: the kernel writes no leading zeros.
        return Int32(String(decoding: name, as: UTF8.self))
    }
}

extension Files {
    /// The whole path of one that may be relative to the working directory; as it was given where that cannot be found out.
    public static func absolute(_ path: FilePath) -> FilePath {
        FilePath(bytes: (try? readLink("/proc/self/cwd")) ?? Array(".".utf8)).pushing(path)
    }

    /// How many bytes there is room for on the file system of an open file, for this process (statvfs(3)); nil where it cannot tell.
    public static func room(in descriptor: Int32) -> UInt64? {
        var status = statvfs()
        // SAFETY: the call fills the structure that it is passed, and keeps no pointer.
        guard unsafe fstatvfs(descriptor, &status) == 0 else { return nil }
        let free = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return free.overflow ? nil : free.partialValue
    }

    /// The entries of a directory without `.` and `..`, in the directory's own order.
    public static func entries(
        of path: FilePath, at directory: Int32 = workingDirectory
    ) throws(Errno) -> [DirectoryEntry] {
        let opened = try open(path, .directory, at: directory)
        return try entries(ofDescriptor: opened.raw)
    }

    /// The entries of an open directory from its position on, without `.` and `..` (getdents64(2)).
    public static func entries(ofDescriptor directory: Int32) throws(Errno) -> [DirectoryEntry] {
        var entries: [DirectoryEntry] = []
        while true {
            let records = try bytes(filledBy: 32 << 10) {
                outcome(of: Int(SYS_getdents64), UInt(signed: directory), $0, 32 << 10)
            }
            if records.isEmpty { return entries }
            guard appendEntries(from: records, to: &entries) else { throw .ioError }
        }
    }

    /// Decodes records of struct linux_dirent64: u64 inode, s64 offset, u16 length, u8 kind, name and NUL.
    ///
    /// - Returns: false where a record does not fit the bytes, which a kernel never writes.
    private static func appendEntries(from records: [UInt8], to entries: inout [DirectoryEntry]) -> Bool {
        let header = 19
        var start = 0
        while start < records.count {
            guard records.count - start >= header else { return false }
            let length = Int(records[start + 16]) | Int(records[start + 17]) << 8
            guard length > header, length <= records.count - start else { return false }
            var inode: UInt64 = 0
            for index in 0..<8 { inode |= UInt64(records[start + index]) << UInt64(8 * index) }
            let name = Array(records[(start + header)..<(start + length)].prefix { $0 != 0 })
            if name != [46] && name != [46, 46] {
                entries.append(DirectoryEntry(name: name, inode: inode, kind: records[start + 18]))
            }
            start += length
        }
        return true
    }
}
