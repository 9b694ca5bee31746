public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A directory of images, in which each task opens the pages files that it reads its memory from.
public struct PagesFolder: Resource {
    private let directory: ImageDirectory

    public init(_ directory: ImageDirectory) { self.directory = directory }

    public var extraDescriptors: Int { 0 }
    public var description: String { "\(directory.path) to read pages from" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) { return try Files.duplicate(directory.descriptor) } catch {
            throw Problem(
                .fileUnopenable, "the directory of images cannot be held open",
                object: .init(path: directory.path.string),
                cause: .init(error, attempted: "fcntl(F_DUPFD)"),
                remedy: "Raise the limit of open files (prlimit --nofile)")
        }
    }
}
