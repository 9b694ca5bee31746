public import Diagnostics
public import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension ImageDirectory {
    /// The name of the link to the directory of the dump before.
    public static let parentLink = "parent"

    /// Opens the directory that this one builds upon; nil where it stands alone.
    ///
    /// - Throws: `image-parent` where the link leads nowhere.
    public func parent() throws(Problem) -> ImageDirectory? {
        let link = path.appending(Self.parentLink)
        do throws(Errno) {
            guard try Posix.status(of: Self.parentLink, in: descriptor) != nil else { return nil }
            let opened = try Posix.open(Self.parentLink, in: descriptor, flags: O_RDONLY | O_DIRECTORY)
            return ImageDirectory(owning: opened, path: link)
        } catch {
            throw .image(
                .imageParent, link, "the parent directory of these images cannot be opened",
                cause: .init(error, attempted: "openat(\"\(Self.parentLink)\", O_DIRECTORY)"),
                remedy: "Copy the directories of all dumps that this one builds upon, and keep their places")
        }
    }

    /// Makes this directory build upon another one.
    ///
    /// - Parameter target: as the link is to say it, relative to this directory.
    /// - Throws: `image-unwritable`.
    public func setParent(_ target: FilePath) throws(Problem) {
        do throws(Errno) {
            try Posix.remove(Self.parentLink, in: descriptor)
            try Posix.link(Self.parentLink, to: target.string, in: descriptor)
        } catch {
            throw .unwritable(path.appending(Self.parentLink), error, attempted: "symlinkat(\"\(target)\")")
        }
    }
}
