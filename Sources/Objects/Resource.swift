public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// Something that Apus opens itself, once, before it makes the tree that inherits it: an open file description, the
/// memory behind a shared mapping, a pages file.
///
/// A resource is a plain value. What it says in `description` is what a dry run prints.
public protocol Resource: Sendable, CustomStringConvertible {
    /// What stands in the way of opening it on this host. Nothing is made or changed.
    func obstacles(at site: RestoreSite) -> [Problem]
    /// Whether it is to be opened when everything else is open.
    var comesLast: Bool { get }
    /// Opens it.
    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor
}

extension Resource {
    public var comesLast: Bool { false }
}

/// The place where a tree is being restored: what its resources share while they are opened.
public final class RestoreSite {
    /// Where the images are.
    public let images: ImageDirectory
    /// Descriptors of Apus' caller that stand in for files, by the key that names the file (`--inherit-fd`).
    public let inherited: [String: Int32]
    /// The caller's terminal takes the place of the one that the dump left outside (`--shell-job`).
    public let shellJob: Bool
    var pipes: [UInt32: PipeEnds] = [:]
    var memoryFiles: [UInt64: SharedFile] = [:]
    /// Files without a name, by their id in the images.
    var deletedFiles: [UInt32: SharedFile] = [:]
    var segments = SegmentsAtWork()

    public init(images: ImageDirectory, inherited: [String: Int32], shellJob: Bool) {
        self.images = images
        self.inherited = inherited
        self.shellJob = shellJob
    }

    /// Forgets what was made for an attempt that was taken back.
    public func beginAnew() {
        pipes = [:]
        memoryFiles = [:]
        deletedFiles = [:]
        segments.leave()
    }

    /// A copy of the descriptor that stands in for a resource, or nil where none does.
    func substitute(for key: String) throws(Problem) -> OwnedDescriptor? {
        guard let descriptor = inherited[key] else { return nil }
        do throws(Errno) {
            return try Files.duplicate(descriptor)
        } catch {
            throw Problem(
                .inheritedDescriptor, "descriptor \(descriptor), which is to stand in for \(key), is not open",
                object: .init(fd: descriptor), cause: .init(error, attempted: "fcntl(\(descriptor), F_DUPFD_CLOEXEC)"),
                remedy: "Open it before Apus is started, for example with `\(descriptor)<>FILE` in the shell")
        }
    }
}

@available(*, unavailable)
extension RestoreSite: Sendable {}

extension Problem.Code {
    public static let inheritedDescriptor: Self = "inherited-descriptor"
    public static let fileMissing: Self = "file-missing"
    public static let fileChanged: Self = "file-changed"
    public static let fileUnopenable: Self = "file-unopenable"
    public static let noTerminal: Self = "no-terminal"
    public static let objectUnsupported: Self = "object-unsupported"
}
