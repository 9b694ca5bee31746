public import Diagnostics
public import Linux
public import SystemPackage

/// A descriptor of a process as `/proc` shows it: what every kind of kernel object is recognised by.
public struct SeenDescriptor: Sendable {
    public let pid: Int32
    /// The name of the process, for messages.
    public let process: String
    public let number: Int32
    /// The text of `/proc/PID/fd/N`.
    public let link: [UInt8]
    public let info: DescriptorInfo
    /// Of the object itself, whatever its name now means.
    public let status: FileStatus
    /// What kind of socket it is; nil for all else.
    public let socket: SocketIdentity?

    /// Reads `/proc`.
    ///
    /// - Throws: an error whose `isGone` is true where the process or the descriptor has gone.
    public init(
        _ number: Int32, of pid: Int32, in known: ProcessDirectory? = nil, process: String
    ) throws(ProcfsError) {
        let directory = known ?? ProcessDirectory(pid)
        self.pid = pid
        self.process = process
        self.number = number
        link = try directory.descriptorLink(number)
        info = try directory.descriptorInfo(number)
        status = try directory.descriptorStatus(number)
        socket = status.kind == .socket ? SocketIdentity(number, of: pid) : nil
    }

    /// The text of the link for people.
    public var linkText: String { String(decoding: link, as: UTF8.self) }

    /// What stands before the colon of a link without a path: `pipe`, `socket`, `anon_inode`.
    public func linkBegins(with prefix: String) -> Bool { link.starts(with: prefix.utf8) }

    /// Whether the link is the path of a named object.
    public var hasPath: Bool { link.first == UInt8(ascii: "/") }

    /// The link as a path.
    public var path: FilePath { FilePath(bytes: link) }

    /// For messages.
    public var object: Problem.Object {
        .init(pid: pid, process: process, fd: number, path: linkText)
    }

    /// A descriptor of Apus of the same description.
    ///
    /// - Parameter handle: a pidfd of the process.
    func copy(through handle: Int32) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) { return try Processes.descriptor(number, of: handle) } catch { throw unopenable(error) }
    }

    /// What is said where the kernel gives Apus no descriptor.
    func unopenable(_ error: Errno) -> Problem {
        Problem(
            .objectUnreadable, "the descriptor cannot be taken over", object: object,
            cause: .init(error, attempted: "pidfd_getfd"),
            remedy: "The kernel must be 5.6 or later, and Apus needs CAP_SYS_PTRACE over the process")
    }

    /// What is said where the kernel does not tell of it.
    func unreadable(_ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .objectUnreadable, "its state cannot be read", object: object,
            cause: .init(error, attempted: attempted), remedy: "Run Apus as root")
    }

    /// The flags of the description alone, as images hold them: O_CLOEXEC belongs to the descriptor.
    public var descriptionFlags: UInt32 {
        UInt32(bitPattern: info.flags.subtracting(.closeOnExec).rawValue)
    }
}
