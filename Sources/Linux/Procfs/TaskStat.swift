public import SystemPackage

/// `/proc/PID/stat` (proc_pid_stat(5)). Fields that the reader may not see are 0.
public struct TaskStat: Sendable, Equatable {
    public var pid: Int32
    /// The name, as bytes: it may hold spaces, parentheses and newlines.
    public var name: [UInt8]
    /// R, S, D, Z, T, t, X, I, P ...
    public var state: TaskState
    public var parent: Int32
    public var processGroup: Int32
    public var session: Int32
    /// The controlling terminal's device, 0 for none.
    public var terminal: DeviceNumber
    /// The foreground process group of the terminal, -1 without a terminal.
    public var terminalForeground: Int32
    /// PF_* of the kernel.
    public var flags: UInt32
    /// Whether it is a thread of the kernel that carries out requests of io_uring for the process: PF_IO_WORKER of linux/sched.h.
    public var isRequestWorker: Bool { flags & 0x10 != 0 }
    /// Whether it is a thread of the kernel: PF_KTHREAD of linux/sched.h.
    public var isKernelThread: Bool { flags & 0x20_0000 != 0 }
    /// Ticks of sysconf(_SC_CLK_TCK).
    public var userTime, systemTime: UInt64
    public var childrenUserTime, childrenSystemTime: Int64
    public var priority, nice: Int64
    public var threadCount: Int32
    /// Ticks since the start of the system, in the reader's time namespace.
    public var startTime: UInt64
    public var virtualSize: UInt64
    public var codeStart, codeEnd: UInt64
    public var stackStart: UInt64
    public var exitSignal: Int32
    public var processor: Int32
    public var realTimePriority, policy: UInt32
    public var dataStart, dataEnd: UInt64
    public var brkStart: UInt64
    public var argumentsStart, argumentsEnd: UInt64
    public var environmentStart, environmentEnd: UInt64
    /// As wait4(2) gives it.
    public var exitCode: Int32

    /// Parses the text.
    ///
    /// - Parameter file: named in errors.
    public init(parsing text: [UInt8], file: FilePath = "stat") throws(ProcfsError) {
        var cursor = TextCursor(text, file: file)
        pid = try cursor.number("the pid")
        cursor.skipBlanks()
        try cursor.expect("(")
        // The name may hold anything, so it ends at the last parenthesis of the text.
        guard let close = text.lastIndex(of: UInt8(ascii: ")")), close >= cursor.position else {
            throw cursor.malformed("')' after the name")
        }
        name = Array(text[cursor.position..<close])
        cursor.position = close + 1
        guard let letter = cursor.word().first else { throw cursor.malformed("the state") }
        state = TaskState(letter: letter)
        parent = try cursor.number("ppid")
        processGroup = try cursor.number("pgrp")
        session = try cursor.number("session")
        let device: Int32 = try cursor.number("tty_nr")
        terminal = DeviceNumber(encoded: UInt64(UInt32(bitPattern: device)))
        terminalForeground = try cursor.number("tpgid")
        flags = try cursor.number("flags")
        try cursor.skip(4, "fault counts")
        userTime = try cursor.number("utime")
        systemTime = try cursor.number("stime")
        childrenUserTime = try cursor.number("cutime")
        childrenSystemTime = try cursor.number("cstime")
        priority = try cursor.number("priority")
        nice = try cursor.number("nice")
        threadCount = try cursor.number("num_threads")
        try cursor.skip(1, "itrealvalue")
        startTime = try cursor.number("starttime")
        virtualSize = try cursor.number("vsize")
        try cursor.skip(2, "rss, rsslim")
        codeStart = try cursor.number("startcode")
        codeEnd = try cursor.number("endcode")
        stackStart = try cursor.number("startstack")
        // The stack and instruction pointers, four signal masks, wchan, nswap, cnswap.
        try cursor.skip(9, "kstkesp to cnswap")
        exitSignal = try cursor.number("exit_signal")
        processor = try cursor.number("processor")
        realTimePriority = try cursor.number("rt_priority")
        policy = try cursor.number("policy")
        try cursor.skip(3, "delayacct_blkio_ticks to cguest_time")
        dataStart = try cursor.number("start_data")
        dataEnd = try cursor.number("end_data")
        brkStart = try cursor.number("start_brk")
        argumentsStart = try cursor.number("arg_start")
        argumentsEnd = try cursor.number("arg_end")
        environmentStart = try cursor.number("env_start")
        environmentEnd = try cursor.number("env_end")
        exitCode = try cursor.number("exit_code")
    }
}

extension TextCursor {
    fileprivate mutating func skip(_ count: Int, _ expected: String) throws(ProcfsError) {
        for _ in 0..<count where word().isEmpty { throw malformed(expected) }
    }
}

/// The state letter of a task (proc_pid_stat(5)).
public enum TaskState: Sendable, Hashable {
    case running, sleeping, uninterruptible, zombie, stopped, traced, dead, idle, parked
    /// A letter that proc(5) does not list.
    case other(UInt8)

    init(letter: UInt8) {
        switch letter {
        case UInt8(ascii: "R"): self = .running
        case UInt8(ascii: "S"): self = .sleeping
        case UInt8(ascii: "D"): self = .uninterruptible
        case UInt8(ascii: "Z"): self = .zombie
        case UInt8(ascii: "T"): self = .stopped
        case UInt8(ascii: "t"): self = .traced
        case UInt8(ascii: "X"), UInt8(ascii: "x"): self = .dead
        case UInt8(ascii: "I"): self = .idle
        case UInt8(ascii: "P"): self = .parked
        default: self = .other(letter)
        }
    }

    /// Whether the task has ended: nothing but its exit status is left.
    public var hasEnded: Bool { self == .zombie || self == .dead }
}
