public import Diagnostics
public import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// An image file open for reading. What it says is not to be trusted: its size is known, and every offset and count
/// is held against it before anything is read or allocated.
public final class ImageFile: Sendable {
    private let directory: FilePath
    private let name: String
    /// Where the file is, for messages. (Of thousands of images it would be put together in vain.)
    public var path: FilePath { directory.appending(name) }
    /// The size in bytes at the time of opening.
    public let size: UInt64
    /// The open descriptor, for calls such as preadv(2) and splice(2). It belongs to this object.
    public let descriptor: Int32

    /// Takes over the descriptor.
    private init(_ name: String, in directory: FilePath, descriptor: Int32, size: UInt64) {
        self.name = name
        self.directory = directory
        self.descriptor = descriptor
        self.size = size
    }

    /// Takes over the descriptor of a file that has, or will have, the content of another one in another form.
    convenience init(expanding other: ImageFile, into descriptor: Int32, size: UInt64) {
        self.init(other.name, in: other.directory, descriptor: descriptor, size: size)
    }

    deinit {
        // Nothing was written through it: close has nothing to report.
        try? Posix.close(descriptor)
    }

    /// Opens a file in a directory. Symbolic links are not followed: whoever may write to the directory could otherwise
    /// make a restore by root read what he may not.
    ///
    /// - Returns: nil where there is no such file.
    /// - Throws: `image-unreadable`, `image-not-regular`.
    static func open(_ name: String, in directory: ImageDirectory) throws(Problem) -> ImageFile? {
        var path: FilePath { directory.path.appending(name) }
        do throws(Errno) {
            // Without O_NONBLOCK, a FIFO in place of an image would hang the open.
            let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
            let descriptor = try Posix.open(name, in: directory.descriptor, flags: flags)
            let file: ImageFile
            let isRegular: Bool
            do throws(Errno) {
                let status = try Posix.status(of: descriptor)
                isRegular = status.isRegular
                file = ImageFile(name, in: directory.path, descriptor: descriptor, size: status.size)
            } catch {
                try Posix.close(descriptor)
                throw error
            }
            if isRegular { return file }
        } catch .noSuchFileOrDirectory {
            return nil
        } catch .tooManySymbolicLinkLevels {
            // Answered below, together with everything else that is no regular file.
        } catch {
            throw .image(
                .imageUnreadable, path, "the image cannot be opened",
                cause: .init(error, attempted: "openat(\"\(name)\", O_RDONLY)"),
                remedy: "Run as a user who may read the image directory")
        }
        throw .image(
            .imageNotRegular, path, "the image is a link, a directory or a device, not a regular file",
            remedy: "Put the file itself into the image directory")
    }

    /// Reads `count` bytes.
    ///
    /// - Throws: `image-truncated` where the file has fewer, before anything is allocated; `image-unreadable`.
    public func bytes(at offset: UInt64, count: UInt64) throws(Problem) -> [UInt8] {
        guard offset <= size, count <= size - offset, let count = Int(exactly: count) else {
            throw truncated(at: offset, wanted: count)
        }
        if count == 0 { return [] }
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try Posix.read(descriptor, count: count, at: offset)
        } catch {
            throw .image(
                .imageUnreadable, path, "the image cannot be read",
                cause: .init(error, attempted: "pread(\(count) bytes at \(offset))"),
                remedy: "Check the disk or the network file system that holds the images")
        }
        // Cut short since it was opened.
        guard bytes.count == count else { throw truncated(at: offset, wanted: UInt64(count)) }
        return bytes
    }

    /// The digest of the whole file.
    ///
    /// - Parameter goesOn: asked now and then.
    /// - Returns: nil where it was to stop.
    /// - Throws: `image-unreadable`.
    public func digest(while goesOn: () -> Bool = { true }) throws(Problem) -> ImageDigest? {
        do throws(Errno) {
            return try ImageDigest.read(descriptor, expecting: size, while: goesOn)
        } catch {
            throw .image(
                .imageUnreadable, path, "the image cannot be read", cause: .init(error, attempted: "pread"),
                remedy: "Check the disk or the network file system that holds the images")
        }
    }

    func truncated(at offset: UInt64, wanted: UInt64) -> Problem {
        .image(
            .imageTruncated, path,
            "the file ends at byte \(size), but \(wanted) bytes are announced from byte \(offset) on")
    }
}
