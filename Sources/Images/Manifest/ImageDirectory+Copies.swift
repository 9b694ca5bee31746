public import Diagnostics
internal import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Copies of files that the dump took along (`--ship`) stand in a directory within the image directory, once each, under
// the digests of their contents: no name in it can lead anywhere else, and what a name says can be checked.

extension ImageDirectory {
    /// The name of the directory with the copies.
    public static let copiesName = "files"

    /// Opens the directory with copies; nil where there is none.
    ///
    /// - Throws: `image-unreadable`; `image-not-regular` where a link or a file has its name.
    public func copies() throws(Problem) -> ImageDirectory? {
        let place = path.appending(Self.copiesName)
        do throws(Errno) {
            return try directory(named: Self.copiesName)
        } catch .noSuchFileOrDirectory {
            return nil
        } catch .notDirectory, .tooManySymbolicLinkLevels {
            throw .image(.imageNotRegular, place, "this is a link or a file, where copies of files are in a directory")
        } catch {
            throw .image(
                .imageUnreadable, place, "the directory with copies of files cannot be opened",
                cause: .init(error, attempted: "openat(\"\(Self.copiesName)\", O_DIRECTORY)"),
                remedy: "Run as a user who may read the image directory")
        }
    }

    /// Makes the directory for copies, or opens it where it is there.
    ///
    /// - Throws: `image-unwritable`.
    public func makeCopies() throws(Problem) -> ImageDirectory {
        do throws(Errno) {
            try Posix.makeDirectory(Self.copiesName, in: descriptor)
        } catch {
            throw .unwritable(path.appending(Self.copiesName), error, attempted: "mkdirat(\"\(Self.copiesName)\")")
        }
        if let made = try copies() { return made }
        throw .unwritable(path.appending(Self.copiesName), .noSuchFileOrDirectory, attempted: "openat")
    }

    /// The copy with this content; nil where there is none. What it holds is yet to be checked.
    ///
    /// - Throws: `image-unreadable`, `image-not-regular`.
    public func copy(_ digest: ContentDigest) throws(Problem) -> ImageFile? {
        try copies()?.file(named: digest.description)
    }

    /// To the directory with copies: adds the content of an open file, unless it is there already.
    ///
    /// - Parameters:
    ///   - number: one that no other addition has at the same time.
    ///   - goesOn: asked now and then whether to go on.
    /// - Returns: its digest and its size, and whether it is new; nil where it was to stop.
    /// - Throws: `image-unwritable`.
    public func add(
        contentOf file: Int32, number: Int, while goesOn: () -> Bool
    ) throws(Problem) -> (digest: ContentDigest, size: UInt64, isNew: Bool)? {
        let name = Self.unfinished + String(number)
        do throws(Errno) {
            try Posix.remove(name, in: descriptor)
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
            let output = try Posix.open(name, in: descriptor, flags: flags, mode: 0o600)
            let read: (digest: ContentDigest, size: UInt64)?
            do throws(Errno) {
                read = try ContentDigest.read(file, copyingTo: output, while: goesOn)
                try Posix.close(output)
            } catch {
                try? Posix.close(output)
                throw error
            }
            guard let read else {
                try Posix.remove(name, in: descriptor)
                return nil
            }
            let isNew = try Posix.status(of: read.digest.description, in: descriptor) == nil
            // An older one may be damaged: the new one takes its place.
            try Posix.rename(name, to: read.digest.description, in: descriptor)
            return (read.digest, read.size, isNew)
        } catch {
            try? Posix.remove(name, in: descriptor)
            throw .unwritable(path.appending(name), error, attempted: "copy of a file that is to be shipped")
        }
    }

    /// Removes all copies but these, and the directory where none is left. What else somebody has put there stays.
    ///
    /// - Throws: `image-unwritable`.
    public func keepCopies(_ kept: Set<ContentDigest>) throws(Problem) {
        // What is no directory there is somebody else's.
        guard let copies = try? copies() else { return }
        do throws(Errno) {
            for name in try copies.fileNamesOrThrow()
            where name.hasPrefix(Self.unfinished) || ContentDigest(name).map({ !kept.contains($0) }) ?? false {
                try Posix.remove(name, in: copies.descriptor)
            }
            if kept.isEmpty { try Posix.removeDirectory(Self.copiesName, in: descriptor) }
        } catch .directoryNotEmpty, .fileExists {
            return
        } catch {
            throw .unwritable(copies.path, error, attempted: "unlinkat")
        }
    }

    /// Removes one copy, where it is there.
    public func removeCopy(_ digest: ContentDigest) {
        guard let copies = try? copies() else { return }
        try? Posix.remove(digest.description, in: copies.descriptor)
        try? Posix.removeDirectory(Self.copiesName, in: descriptor)
    }

    private static let unfinished = ".new-"

    private func fileNamesOrThrow() throws(Errno) -> [String] { try Posix.names(in: descriptor) }
}
