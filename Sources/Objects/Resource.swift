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
    /// Both ends of each named pipe, until all of its descriptions are open.
    var namedPipes: [UInt32: SharedFile] = [:]
    var memoryFiles: [UInt64: SharedFile] = [:]
    /// Seals that forbid mappings which the tree has yet to make.
    var lateSeals: [(file: SharedFile, seals: UInt32)] = []
    /// Files without a name, by their id in the images.
    var deletedFiles: [UInt32: SharedFile] = [:]
    var segments = SegmentsAtWork()
    var unixSockets = UnixSocketWorkshop()
    /// TCP sockets that will listen, with their backlogs, and whether SO_REUSEADDR is set.
    var listening: [(socket: SharedFile, backlog: UInt32, sharesAddress: Bool)] = []
    /// What becomes of TCP connections.
    public var connectionPolicy = ConnectionPolicy.refused
    public let connections = ConnectionsAtRestore()
    /// Names that were made in the file system, and that go again if the restore fails.
    var madeFiles: [FilePath] = []

    public init(images: ImageDirectory, inherited: [String: Int32], shellJob: Bool) {
        self.images = images
        self.inherited = inherited
        self.shellJob = shellJob
    }

    /// Forgets what was made for an attempt that was taken back.
    public func beginAnew() {
        connections.sockets = []
        letGo()
    }

    /// Lets go of what the tree has inherited, but for the connections.
    public func letGo() {
        pipes = [:]
        memoryFiles = [:]
        lateSeals = []
        deletedFiles = [:]
        segments.leave()
        namedPipes = [:]
        unixSockets = UnixSocketWorkshop()
        listening = []
    }

    /// Removes the names that were made in the file system for a restore that failed.
    public func removeMadeFiles() {
        for path in madeFiles { try? Files.remove(path) }
        madeFiles = []
    }

    /// Does what needs all descriptions and all processes to be there already: fills the queues of sockets, connects
    /// some, and gives them their options. Files in memory get the seals that had to wait.
    ///
    /// - Parameter descriptors: Apus' descriptors of the descriptions, by the ids of the images.
    public func complete(_ descriptors: [UInt32: Int32]) throws(Problem) {
        try unixSockets.complete(descriptors)
        for late in lateSeals {
            do throws(Errno) { try Files.addSeals(late.file.descriptor.raw, late.seals) } catch {
                throw Problem(
                    .fileUnopenable, "a memfd cannot be sealed", cause: .init(error, attempted: "fcntl(F_ADD_SEALS)"),
                    remedy: "This kernel is too old for its seals: restore where `uname -r` is as at the dump")
            }
        }
        // From here on clients are told that they are connected.
        for one in listening {
            do throws(Errno) {
                try Sockets.listen(one.socket.descriptor.raw, backlog: Int32(clamping: one.backlog))
                try Sockets.set(one.socket.descriptor.raw, .reuseAddress, to: one.sharesAddress ? 1 : 0)
            } catch {
                throw Problem(
                    .nameInUse, "a TCP socket cannot listen", cause: .init(error, attempted: "listen"),
                    remedy: "End the program that listens at its address (ss -lnp shows which)")
            }
        }
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
