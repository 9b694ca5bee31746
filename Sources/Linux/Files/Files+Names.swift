internal import CLinux
internal import Glibc
public import SystemPackage

/// Names in directories.
extension Files {
    /// readlinkat(2): the bytes of a symbolic link, whatever their length.
    ///
    /// The links in `/proc` may be longer than PATH_MAX would let one guess from their size, which is reported as 0 or
    /// 64: the buffer grows until the text fits.
    public static func readLink(_ path: FilePath, at directory: Int32 = workingDirectory) throws(Errno) -> [UInt8] {
        try readLink { call in withAddress(of: path) { call(directory, $0) } }
    }

    /// The same of a path with a NUL at its end.
    static func readLink(terminated path: [UInt8]) throws(Errno) -> [UInt8] {
        try readLink { call in withAddress(ofBytes: path) { address, _ in call(workingDirectory, address) } }
    }

    /// - Parameter lending: gives the call the directory and the address of the path.
    private static func readLink(
        lending: ((_ directory: Int32, _ path: UInt) -> Result<Int, Errno>) -> Result<Int, Errno>
    ) throws(Errno) -> [UInt8] {
        var capacity = 256
        while true {
            let size = UInt(capacity)
            let bytes = try bytes(filledBy: capacity) { buffer in
                lending { outcome(of: Int(SYS_readlinkat), UInt(signed: $0), $1, buffer, size) }
            }
            if bytes.count < capacity { return bytes }
            capacity *= 4
        }
    }

    /// renameat(2) within one directory, or of paths from the working directory.
    public static func rename(
        _ old: FilePath, to new: FilePath, at directory: Int32 = workingDirectory
    ) throws(Errno) {
        let result = withAddress(of: old) { old in
            withAddress(of: new) { new in
                outcome(of: Int(SYS_renameat2), UInt(signed: directory), old, UInt(signed: directory), new, 0)
            }
        }
        _ = try result.get()
    }

    /// renameat2(2) with RENAME_NOREPLACE: a file that is there already stays.
    ///
    /// - Throws: EEXIST where there is one.
    public static func renameExclusively(_ old: FilePath, to new: FilePath) throws(Errno) {
        let noReplace: UInt = 1
        let result = withAddress(of: old) { old in
            withAddress(of: new) { new in
                outcome(
                    of: Int(SYS_renameat2), UInt(signed: workingDirectory), old, UInt(signed: workingDirectory), new,
                    noReplace)
            }
        }
        _ = try result.get()
    }

    /// unlinkat(2): removes a name; with `directory` set, an empty directory.
    public static func remove(
        _ path: FilePath, isDirectory: Bool = false, at directory: Int32 = workingDirectory
    ) throws(Errno) {
        let flags = UInt(isDirectory ? AT_REMOVEDIR : 0)
        let result = withAddress(of: path) { outcome(of: Int(SYS_unlinkat), UInt(signed: directory), $0, flags) }
        _ = try result.get()
    }

    /// mkdirat(2).
    public static func makeDirectory(
        _ path: FilePath, mode: UInt32 = 0o777, at directory: Int32 = workingDirectory
    ) throws(Errno) {
        let result = withAddress(of: path) { outcome(of: Int(SYS_mkdirat), UInt(signed: directory), $0, UInt(mode)) }
        _ = try result.get()
    }

    /// symlinkat(2): makes `path` a symbolic link whose text is `text`.
    public static func makeLink(
        _ path: FilePath, to text: FilePath, at directory: Int32 = workingDirectory
    ) throws(Errno) {
        let result = withAddress(of: text) { text in
            withAddress(of: path) { outcome(of: Int(SYS_symlinkat), text, UInt(signed: directory), $0) }
        }
        _ = try result.get()
    }

    /// faccessat2(2) with the effective ids: whether the file may be used so.
    ///
    /// - Parameter mode: F_OK 0, or of R_OK 4, W_OK 2, X_OK 1.
    public static func access(
        _ path: FilePath, mode: Int32, at directory: Int32 = workingDirectory
    ) throws(Errno) {
        let result = withAddress(of: path) {
            outcome(of: Int(SYS_faccessat2), UInt(signed: directory), $0, UInt(signed: mode), UInt(AT_EACCESS))
        }
        _ = try result.get()
    }
}
