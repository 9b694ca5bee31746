public import SystemPackage

/// A file of `/proc` that cannot be read, or whose text is not what proc(5) promises.
public struct ProcfsError: Error, Sendable, Equatable {
    /// The file.
    public var file: FilePath
    /// The line, counted from 1; nil where no line is to blame.
    public var line: Int?
    public var reason: Reason

    public enum Reason: Sendable, Equatable {
        /// The kernel's refusal. ENOENT and ESRCH mean that the process is gone.
        case unreadable(Errno)
        /// What was expected and not found.
        case malformed(String)
    }

    public init(file: FilePath, line: Int? = nil, reason: Reason) {
        self.file = file
        self.line = line
        self.reason = reason
    }

    /// The kernel's refusal, if it was one.
    // Swift 6.3.1 crashes in CopyPropagation where the switch over the reason is inlined into a typed catch.
    @inline(never)
    public var errno: Errno? {
        switch reason {
        case .unreadable(let errno): errno
        case .malformed: nil
        }
    }

    /// Whether the process or thread has ended.
    // Swift 6.3.1 crashes in CopyPropagation where the switch over the reason is inlined into a typed catch.
    @inline(never)
    public var isGone: Bool { errno == .noSuchFileOrDirectory || errno == .noSuchProcess }
}

extension ProcfsError: CustomStringConvertible {
    public var description: String {
        let place = line.map { "\(file.string) line \($0)" } ?? file.string
        switch reason {
        case .unreadable(let errno): return "\(place): \(errno.description)"
        case .malformed(let what): return "\(place): expected \(what)"
        }
    }
}
