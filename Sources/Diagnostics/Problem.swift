public import SystemPackage

/// What stopped Apus, in the one shape in which every module reports it.
///
/// A problem names the object that it is about, what is the matter with it, the kernel's refusal where there was one,
/// and what the user can do. The same value is printed as text for people and as JSON for programs.
public struct Problem: Error, Sendable, Equatable {
    /// A stable identifier that scripts may depend on, for example `pid-in-use`.
    public var code: Code
    /// What the problem is about. Fields that do not apply are nil.
    public var object: Object
    /// One sentence: what is the matter.
    public var summary: String
    /// The kernel's refusal that lies beneath, if there was one.
    public var cause: Cause?
    /// What the user can do about it, in the imperative.
    public var remedy: String

    public init(_ code: Code, _ summary: String, object: Object = Object(), cause: Cause? = nil, remedy: String) {
        self.code = code
        self.object = object
        self.summary = summary
        self.cause = cause
        self.remedy = remedy
    }

    /// A stable problem code: lower-case words joined by hyphens. Modules declare theirs in extensions.
    public struct Code: RawRepresentable, Hashable, Sendable, ExpressibleByStringLiteral {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public init(stringLiteral value: String) { self.rawValue = value }
    }

    /// The thing that a problem is about.
    public struct Object: Sendable, Equatable {
        /// The process, as the kernel that Apus runs under numbers it.
        public var pid: Int32?
        /// The name of the process (`comm`).
        public var process: String?
        /// The descriptor within `pid`.
        public var fd: Int32?
        /// The file, socket or directory; also the name of an image file.
        public var path: String?
        /// The address within `pid`.
        public var address: UInt64?

        public init(
            pid: Int32? = nil, process: String? = nil, fd: Int32? = nil, path: String? = nil, address: UInt64? = nil
        ) {
            self.pid = pid
            self.process = process
            self.fd = fd
            self.path = path
            self.address = address
        }
    }

    /// A refusal of the kernel.
    public struct Cause: Sendable, Equatable {
        /// The error number (errno(3)).
        public var errno: Errno
        /// What was attempted, as a call: `openat("/etc/shadow", O_RDONLY)`.
        public var attempted: String

        public init(_ errno: Errno, attempted: String) {
            self.errno = errno
            self.attempted = attempted
        }
    }
}

extension Problem: CustomStringConvertible {
    /// One line for logs: the object, the summary, the cause and the remedy.
    public var description: String {
        var text = object.description
        if !text.isEmpty { text += ": " }
        text += summary
        if let cause { text += " (\(cause.attempted): \(cause.errno.description))" }
        if !remedy.isEmpty { text += ". \(remedy)" }
        return text + " [\(code.rawValue)]"
    }
}

extension Problem.Object: CustomStringConvertible {
    public var description: String {
        var parts: [String] = []
        if let pid { parts.append(process.map { "process \(pid) (\($0))" } ?? "process \(pid)") }
        if let fd { parts.append("descriptor \(fd)") }
        if let address { parts.append("address 0x" + String(address, radix: 16)) }
        if let path { parts.append(path) }
        return parts.joined(separator: ", ")
    }
}

/// Several problems found in one look, so that the user need not find them one by one.
public struct Problems: Error, Sendable {
    /// Never empty.
    public let all: [Problem]

    public init(_ first: Problem, _ rest: [Problem] = []) { all = [first] + rest }

    /// Throws what has been collected, or does nothing where nothing was.
    public static func throwIfAny(_ found: [Problem]) throws(Problems) {
        guard let first = found.first else { return }
        throw Problems(first, Array(found.dropFirst()))
    }
}
