public import SystemPackage

/// `/proc/PID/status` (proc_pid_status(5)). What older kernels do not write is nil.
public struct TaskStatus: Sendable, Equatable {
    /// The name, unescaped.
    public var name: [UInt8]
    public var state: TaskState
    public var threadGroup: Int32
    public var pid: Int32
    public var parent: Int32
    /// 0 for none.
    public var tracer: Int32
    public var uid: Identity
    public var gid: Identity
    /// Supplementary groups, in the kernel's order.
    public var groups: [UInt32]
    /// The ids in each pid namespace, from the reader's inwards; empty on kernels without pid namespaces.
    public var namespaceThreadGroups, namespacePids, namespaceGroups, namespaceSessions: [Int32]
    public var umask: UInt16?
    public var threadCount: Int32
    public var signals: Signals
    public var capabilities: Capabilities
    public var noNewPrivileges: Bool?
    /// 0 off, 1 strict, 2 filters; nil on kernels without seccomp.
    public var seccompMode: UInt32?
    public var seccompFilterCount: UInt32?
    public var isDumpingCore: Bool?
    public var allowsTransparentHugePages: Bool?
    /// In KiB; nil for a task without memory of its own (a zombie, a kernel thread).
    public var virtualSize, residentSize, lockedSize, swapSize: UInt64?

    /// The four ids of a kind.
    public struct Identity: Sendable, Hashable {
        public var real, effective, saved, fileSystem: UInt32

        public init(real: UInt32, effective: UInt32, saved: UInt32, fileSystem: UInt32) {
            self.real = real
            self.effective = effective
            self.saved = saved
            self.fileSystem = fileSystem
        }
    }

    /// Masks of signals: signal n in bit n-1.
    public struct Signals: Sendable, Hashable {
        /// Pending for the thread, and for the whole process.
        public var pending, sharedPending: UInt64
        public var blocked, ignored, caught: UInt64
        /// Queued for the real user, and the limit.
        public var queued, queueLimit: UInt64
    }

    /// Masks of capabilities: capability n in bit n.
    public struct Capabilities: Sendable, Hashable {
        public var inheritable, permitted, effective, bounding: UInt64
        /// nil before Linux 4.3.
        public var ambient: UInt64?
    }

    /// Parses the text.
    ///
    /// - Parameter file: named in errors.
    public init(parsing text: [UInt8], file: FilePath = "status") throws(ProcfsError) {
        var fields = try KeyedLines(text, file: file)
        name = Self.unescapedName(Array(try fields.required("Name").rest))
        guard let letter = try fields.required("State").rest.first else {
            throw ProcfsError(file: file, reason: .malformed("a state"))
        }
        state = TaskState(letter: letter)
        threadGroup = try fields.number("Tgid")
        pid = try fields.number("Pid")
        parent = try fields.number("PPid")
        tracer = try fields.number("TracerPid")
        uid = try Self.identity(fields.required("Uid"))
        gid = try Self.identity(fields.required("Gid"))
        groups = try fields.numbers("Groups")
        namespaceThreadGroups = try fields.numbers("NStgid")
        namespacePids = try fields.numbers("NSpid")
        namespaceGroups = try fields.numbers("NSpgid")
        namespaceSessions = try fields.numbers("NSsid")
        umask = try fields.number("Umask", radix: 8)
        threadCount = try fields.number("Threads")
        signals = try Self.signals(&fields)
        capabilities = Capabilities(
            inheritable: try fields.number("CapInh", radix: 16), permitted: try fields.number("CapPrm", radix: 16),
            effective: try fields.number("CapEff", radix: 16), bounding: try fields.number("CapBnd", radix: 16),
            ambient: try fields.number("CapAmb", radix: 16))
        noNewPrivileges = try fields.flag("NoNewPrivs")
        seccompMode = try fields.number("Seccomp")
        seccompFilterCount = try fields.number("Seccomp_filters")
        isDumpingCore = try fields.flag("CoreDumping")
        allowsTransparentHugePages = try fields.flag("THP_enabled")
        virtualSize = try fields.number("VmSize")
        residentSize = try fields.number("VmRSS")
        lockedSize = try fields.number("VmLck")
        swapSize = try fields.number("VmSwap")
    }

    private static func signals(_ fields: inout KeyedLines) throws(ProcfsError) -> Signals {
        var queue = try fields.required("SigQ")
        let queued: UInt64 = try queue.number("queued signals")
        try queue.expect("/")
        return Signals(
            pending: try fields.number("SigPnd", radix: 16), sharedPending: try fields.number("ShdPnd", radix: 16),
            blocked: try fields.number("SigBlk", radix: 16), ignored: try fields.number("SigIgn", radix: 16),
            caught: try fields.number("SigCgt", radix: 16), queued: queued, queueLimit: try queue.number("a limit"))
    }

    private static func identity(_ cursor: TextCursor) throws(ProcfsError) -> Identity {
        var cursor = cursor
        return Identity(
            real: try cursor.number("the real id"), effective: try cursor.number("the effective id"),
            saved: try cursor.number("the saved id"), fileSystem: try cursor.number("the file system id"))
    }

    /// A newline is written as `\n` and a backslash as `\\`.
    private static func unescapedName(_ text: [UInt8]) -> [UInt8] {
        var (name, isEscaped) = ([UInt8](), false)
        for byte in text {
            if isEscaped {
                name.append(byte == UInt8(ascii: "n") ? UInt8(ascii: "\n") : byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else {
                name.append(byte)
            }
        }
        return name
    }
}
