internal import Linux
internal import SystemPackage

/// A new file without a name, which all of `/proc` shows under the name that it once had.
///
/// It is made without one (O_TMPFILE of open(2)) and gets it for as long as it takes to open it. Where a file system has
/// no such files (NFS, FAT, many in user space) it is made under its name and loses it at once.
struct NamelessFile: ~Copyable {
    /// To write to.
    let writer: OwnedDescriptor
    private let path, other: FilePath
    private let hasHadName: Bool

    /// Makes one.
    ///
    /// - Parameters:
    ///   - path: the name.
    ///   - other: the one that it gets where another file has that.
    ///   - withoutName: whether to try and make it without one.
    static func make(_ path: FilePath, or other: FilePath, withoutName: Bool = true) throws(Errno) -> NamelessFile {
        if withoutName {
            do throws(Errno) {
                let flags: OpenFlags = [.readWrite, .temporaryFile]
                let writer = try Files.open(path.removingLastComponent(), flags, mode: 0o600)
                return NamelessFile(writer: writer, path: path, other: other, hasHadName: false)
            } catch {
                // EISDIR comes of what does not know the flag at all.
                guard error == .notSupported || error == .isDirectory || error == .invalidArgument else { throw error }
            }
        }
        do throws(Errno) {
            return NamelessFile(writer: try create(path), path: path, other: other, hasHadName: true)
        } catch {
            if error != .fileExists { throw error }
        }
        return NamelessFile(writer: try create(other), path: path, other: other, hasHadName: true)
    }

    private init(writer: consuming OwnedDescriptor, path: FilePath, other: FilePath, hasHadName: Bool) {
        self.writer = writer
        self.path = path
        self.other = other
        self.hasHadName = hasHadName
    }

    private static func create(_ name: FilePath) throws(Errno) -> OwnedDescriptor {
        let file = try Files.open(name, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600)
        try Files.remove(name)
        return file
    }

    /// A descriptor to read with, through which others can be opened, in place of the one to write with: a program that is
    /// open for writing cannot be executed.
    consuming func reader() throws(Errno) -> OwnedDescriptor {
        if hasHadName { return try Files.open(FilePath("/proc/self/fd/\(writer.raw)"), .readOnly) }
        let name = try link()
        let anchor: OwnedDescriptor
        do throws(Errno) { anchor = try Files.open(name, [.readOnly, .noFollow]) } catch {
            try? Files.remove(name)
            throw error
        }
        try Files.remove(name)
        let (one, other) = (try Files.status(ofDescriptor: anchor.raw), try Files.status(ofDescriptor: writer.raw))
        // Somebody has put another file there in between.
        if one.inode != other.inode || one.device != other.device { throw .fileExists }
        return anchor
    }

    /// - Returns: the name, which was free.
    private borrowing func link() throws(Errno) -> FilePath {
        do throws(Errno) {
            try Files.link(writer.raw, as: path)
            return path
        } catch {
            if error != .fileExists { throw error }
        }
        try Files.link(writer.raw, as: other)
        return other
    }
}
