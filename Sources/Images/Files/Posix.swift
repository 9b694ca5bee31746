internal import CLinux
internal import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The few file calls relative to an open directory that swift-system does not have, with typed errors.
///
/// Plain POSIX but for syncfs(2), which has no equal: this module runs wherever there are files.
enum Posix {
    /// openat(2), closed on exec.
    static func open(_ name: String, in directory: Int32, flags: Int32, mode: mode_t = 0) throws(Errno) -> Int32 {
        // SAFETY: the name is passed as a string that lives as long as the call.
        try retrying { unsafe openat(directory, name, flags | O_CLOEXEC, mode) }
    }

    /// openat(2) of a path whose bytes need not be UTF-8, closed on exec.
    static func open(_ path: FilePath, in directory: Int32, flags: Int32) throws(Errno) -> Int32 {
        // SAFETY: the bytes end with a zero and live as long as the call.
        let bytes = unsafe path.withPlatformString {
            unsafe Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1))
        }
        return try retrying { unsafe openat(directory, bytes, flags | O_CLOEXEC) }
    }

    /// What the kernel says about a file, as far as images need it.
    struct Status {
        let identity: FileIdentity
        let isRegular: Bool
        let size: UInt64

        fileprivate init(_ status: stat) {
            identity = FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
            isRegular = status.st_mode & S_IFMT == S_IFREG
            size = UInt64(max(0, status.st_size))
        }
    }

    /// What a file is, whatever path leads to it.
    struct FileIdentity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// fstat(2).
    static func status(of descriptor: Int32) throws(Errno) -> Status {
        var result = stat()
        // SAFETY: the kernel fills the structure that is passed, and keeps no pointer to it.
        _ = try retrying { unsafe fstat(descriptor, &result) }
        return Status(result)
    }

    /// fstatat(2), of a symbolic link itself; nil where there is no such file.
    static func status(of name: String, in directory: Int32) throws(Errno) -> Status? {
        var result = stat()
        do throws(Errno) {
            // SAFETY: as above.
            _ = try retrying { unsafe fstatat(directory, name, &result, AT_SYMLINK_NOFOLLOW) }
        } catch .noSuchFileOrDirectory {
            return nil
        }
        return Status(result)
    }

    /// Reads until `count` bytes are there or the file ends (pread(2)).
    static func read(_ descriptor: Int32, count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
        var failure: Errno?
        // SAFETY: pread writes at most as many bytes as the buffer has room for behind `filled`.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let room = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                let result = unsafe pread(descriptor, room.baseAddress, room.count, off_t(offset) + off_t(filled))
                if result == 0 { return }
                if result > 0 {
                    filled += result
                } else if errno != EINTR {
                    failure = Errno(rawValue: errno)
                    return
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Reads what there is, no more than fits and than the limit (pread(2)).
    static func read(
        _ descriptor: Int32, into buffer: inout [UInt8], limit: UInt64, at offset: UInt64
    ) throws(Errno) -> Int {
        guard let place = off_t(exactly: offset) else { return 0 }
        let room = Int(min(UInt64(buffer.count), limit))
        // SAFETY: pread writes at most as many bytes as the buffer has.
        return try retrying {
            unsafe buffer.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, room, place) }
        }
    }

    /// Bytes that are read at a time.
    private static let (chunk, smallestChunk) = (1 << 20, 4 << 10)

    /// Reads an open file from its start.
    ///
    /// - Parameters:
    ///   - limit: no more than so many bytes of it.
    ///   - expected: how large it is, where that is known: it may be less or more. A buffer for a small file is a small one, as
    ///     there may be thousands of these.
    ///   - goesOn: asked now and then whether to go on.
    ///   - body: gets the bytes, which are gone when it returns.
    /// - Returns: how many there were; nil where it did not go on.
    static func read(
        _ descriptor: Int32, limit: UInt64 = .max, expecting expected: UInt64 = .max, while goesOn: () -> Bool,
        _ body: (UnsafeRawBufferPointer) throws(Errno) -> Void
    ) throws(Errno) -> UInt64? {
        let room = max(smallestChunk, Int(min(UInt64(chunk), expected)))
        var (buffer, size) = ([UInt8](repeating: 0, count: room), UInt64(0))
        while size < limit {
            guard goesOn() else { return nil }
            let count = try read(descriptor, into: &buffer, limit: limit - size, at: size)
            if count == 0 { break }
            // SAFETY: the buffer is borrowed for the call, and holds as many bytes as were read.
            try unsafe buffer.withUnsafeBufferPointer { (all) throws(Errno) in
                try unsafe body(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: all[..<count])))
            }
            size += UInt64(count)
        }
        return size
    }

    /// Writes all of it at the descriptor's position (write(2)).
    static func write(_ descriptor: Int32, _ bytes: [UInt8]) throws(Errno) {
        var written = 0
        while written < bytes.count {
            // SAFETY: write reads the bytes behind `written` that the buffer holds, and keeps no pointer.
            written += try retrying {
                unsafe bytes.withUnsafeBytes { buffer in
                    let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[written...])
                    return unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
                }
            }
        }
    }

    /// Writes all of it at a place (pwrite(2)).
    static func write(_ descriptor: Int32, _ bytes: [UInt8], at offset: UInt64) throws(Errno) {
        guard let place = off_t(exactly: offset) else { throw .invalidArgument }
        var written = 0
        while written < bytes.count {
            // SAFETY: as for write.
            written += try retrying {
                unsafe bytes.withUnsafeBytes { buffer in
                    let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[written...])
                    return unsafe pwrite(descriptor, rest.baseAddress, rest.count, place + off_t(written))
                }
            }
        }
    }

    /// A file without a name in a directory, to read and write: O_TMPFILE (open(2)), or one whose name is removed at once
    /// where the file system has none of these.
    static func openNameless(_ directory: FilePath, in base: Int32) throws(Errno) -> Int32 {
        let place = try open(directory, in: base, flags: O_RDONLY | O_DIRECTORY)
        defer { try? close(place) }
        let flags = O_RDWR | O_EXCL
        do throws(Errno) {
            return try open(".", in: place, flags: flags | __O_TMPFILE | O_DIRECTORY, mode: 0o600)
        } catch {
            guard error == .notSupported || error == .isDirectory else { throw error }
            let name = ".apus-pages-\(getpid())-\(UInt64.random(in: .min ... .max))"
            let file = try open(name, in: place, flags: flags | O_CREAT | O_NOFOLLOW, mode: 0o600)
            do throws(Errno) { try remove(name, in: place) } catch {
                try? close(file)
                throw error
            }
            return file
        }
    }

    /// ftruncate(2).
    static func truncate(_ descriptor: Int32, to size: UInt64) throws(Errno) {
        _ = try retrying { ftruncate(descriptor, off_t(clamping: size)) }
    }

    /// renameat(2) within one directory.
    static func rename(_ old: String, to new: String, in directory: Int32) throws(Errno) {
        // SAFETY: as for openat.
        _ = try retrying { unsafe renameat(directory, old, directory, new) }
    }

    /// symlinkat(2).
    static func link(_ name: String, to target: String, in directory: Int32) throws(Errno) {
        // SAFETY: as for openat.
        _ = try retrying { unsafe symlinkat(target, directory, name) }
    }

    /// unlinkat(2) of a file; does nothing where there is none.
    static func remove(_ name: String, in directory: Int32) throws(Errno) {
        do throws(Errno) {
            // SAFETY: as for openat.
            _ = try retrying { unsafe unlinkat(directory, name, 0) }
        } catch .noSuchFileOrDirectory {
            return
        }
    }

    /// mkdirat(2), for the owner alone. One that is there already will do.
    static func makeDirectory(_ name: String, in directory: Int32) throws(Errno) {
        do throws(Errno) {
            // SAFETY: as for openat.
            _ = try retrying { unsafe mkdirat(directory, name, 0o700) }
        } catch .fileExists {
            return
        }
    }

    /// unlinkat(2) of an empty directory.
    static func removeDirectory(_ name: String, in directory: Int32) throws(Errno) {
        // SAFETY: as for openat.
        _ = try retrying { unsafe unlinkat(directory, name, AT_REMOVEDIR) }
    }

    /// readlinkat(2); nil where there is no symbolic link, or a longer one than any of ours.
    static func linkTarget(_ name: String, in directory: Int32) throws(Errno) -> String? {
        var buffer = [CChar](repeating: 0, count: 256)
        // SAFETY: readlinkat fills at most as many bytes as the buffer has.
        let count = unsafe readlinkat(directory, name, &buffer, buffer.count)
        if count < 0 {
            let error = Errno(rawValue: errno)
            if error == .noSuchFileOrDirectory || error == .invalidArgument { return nil }
            throw error
        }
        return count < buffer.count
            ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    /// syncfs(2): everything written to the file system of this file is on the disk when this returns.
    static func syncFileSystem(of descriptor: Int32) throws(Errno) {
        _ = try retrying { apus_syscall(Int(SYS_syncfs), UInt(descriptor), 0, 0, 0, 0, 0) }
    }

    /// fsync(2): the file, or the names in the directory, are on the disk when this returns.
    static func sync(_ descriptor: Int32) throws(Errno) {
        _ = try retrying { fsync(descriptor) }
    }

    /// close(2), never retried.
    static func close(_ descriptor: Int32) throws(Errno) {
        if Glibc.close(descriptor) != 0 { throw Errno(rawValue: errno) }
    }

    /// The names in a directory, in no order, without `.` and `..` (readdir(3)).
    static func names(in directory: Int32) throws(Errno) -> [String] {
        // The stream takes over the descriptor that it is given, and shares its position with duplicates.
        let own = try open(".", in: directory, flags: O_RDONLY | O_DIRECTORY)
        guard let stream = unsafe fdopendir(own) else {
            let error = Errno(rawValue: errno)
            try close(own)
            throw error
        }
        // SAFETY: the stream is used until its closedir at the end of this function; an entry is valid until the
        // next readdir, and its name ends in NUL.
        defer { unsafe _ = closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                if errno != 0 { throw Errno(rawValue: errno) }
                return names
            }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) {
                    unsafe String(cString: $0)
                }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    private static func retrying<Result: FixedWidthInteger & SignedInteger>(
        _ body: () -> Result
    ) throws(Errno) -> Result {
        while true {
            let result = body()
            if result >= 0 { return result }
            let error = Errno(rawValue: errno)
            if error != .interrupted { throw error }
        }
    }
}
