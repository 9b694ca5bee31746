public import Diagnostics
internal import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Pages that several processes share by copy-on-write are stored once, in a directory within the image directory, which
// is the image directory's parent in the sense of incremental dumps: page maps refer to it as to the dump before.

extension ImageDirectory {
    /// The name of the directory with the pages that processes share.
    public static let sharedName = "shared"

    /// Makes the directory for shared pages, empty, and makes it the parent of this one.
    ///
    /// - Throws: `image-unwritable`.
    public func makeShared() throws(Problem) -> ImageDirectory {
        do throws(Errno) {
            try Posix.makeDirectory(Self.sharedName, in: descriptor)
        } catch {
            throw .unwritable(path.appending(Self.sharedName), error, attempted: "mkdirat(\"\(Self.sharedName)\")")
        }
        guard let shared = try shared() else {
            throw .unwritable(path.appending(Self.sharedName), .noSuchFileOrDirectory, attempted: "openat")
        }
        try setParent(FilePath(Self.sharedName))
        madeShared = shared
        return shared
    }

    /// Opens the directory with shared pages; nil where there is none.
    ///
    /// - Throws: `image-unreadable`.
    public func shared() throws(Problem) -> ImageDirectory? {
        do throws(Errno) {
            return try directory(named: Self.sharedName)
        } catch .noSuchFileOrDirectory {
            return nil
        } catch .notDirectory, .tooManySymbolicLinkLevels {
            // Somebody else's file: no part of a dump.
            return nil
        } catch {
            throw .image(
                .imageUnreadable, path.appending(Self.sharedName), "the directory with shared pages cannot be opened",
                cause: .init(error, attempted: "openat(\"\(Self.sharedName)\", O_DIRECTORY)"),
                remedy: "Run as a user who may read the image directory")
        }
    }

    /// Removes the directory with shared pages and the link that makes it the parent.
    ///
    /// - Throws: `image-unwritable`.
    func clearShared() throws(Problem) {
        madeShared = nil
        guard let shared = try shared() else { return }
        try shared.clear()
        do throws(Errno) {
            if try Posix.linkTarget(Self.parentLink, in: descriptor) == Self.sharedName {
                try Posix.remove(Self.parentLink, in: descriptor)
            }
            // What else somebody has put there stays.
            try Posix.removeDirectory(Self.sharedName, in: descriptor)
        } catch .directoryNotEmpty, .fileExists {
            return
        } catch {
            throw .unwritable(shared.path, error, attempted: "unlinkat(\"\(Self.sharedName)\")")
        }
    }

    /// The directory and the file in it that a name of the manifest stands for: `shared/pages-1.img`. nil for a name
    /// that is no such path.
    func place(of name: String) throws(Problem) -> (directory: ImageDirectory, file: String)? {
        var directory = self
        var rest = Substring(name)
        while rest.hasPrefix(Self.sharedName + "/") {
            guard let next = try directory.shared() else { return nil }
            directory = next
            rest = rest.dropFirst(Self.sharedName.utf8.count + 1)
        }
        return (directory, String(rest))
    }
}
