internal import CLinux
public import SystemPackage

/// Limits and scheduling.
extension Processes {
    /// A pair of resource limits (getrlimit(2)); `UInt64.max` means no limit.
    public struct Limit: Sendable, Hashable {
        public var soft: UInt64
        public var hard: UInt64
        public static let unlimited = UInt64.max

        public init(soft: UInt64, hard: UInt64) {
            self.soft = soft
            self.hard = hard
        }
    }

    /// The number of kinds of limits (RLIM_NLIMITS): RLIMIT_CPU 0 to RLIMIT_RTTIME 15.
    public static let limitCount: Int32 = 16

    /// prlimit(2), reading.
    ///
    /// - Parameters:
    ///   - pid: 0 for this process. Another one needs the same ids, or CAP_SYS_RESOURCE.
    ///   - resource: RLIMIT_*.
    public static func limit(_ resource: Int32, of pid: Int32 = 0) throws(Errno) -> Limit {
        var raw = apus_rlimit()
        _ = try withAddress(of: &raw) { old in
            outcome(of: Int(SYS_prlimit64), UInt(signed: pid), UInt(signed: resource), 0, old)
        }
        return Limit(soft: raw.soft, hard: raw.hard)
    }

    /// prlimit(2), writing.
    public static func setLimit(_ resource: Int32, of pid: Int32 = 0, to limit: Limit) throws(Errno) {
        var raw = apus_rlimit(soft: limit.soft, hard: limit.hard)
        _ = try withAddress(of: &raw) { new in
            outcome(of: Int(SYS_prlimit64), UInt(signed: pid), UInt(signed: resource), new, 0)
        }
    }

    /// Allows this process as many open files as it may allow itself: the soft limit of an ordinary shell, 1,024, is too
    /// low for large trees.
    ///
    /// - Parameter wanted: also the hard limit is raised to this, where this process may.
    public static func raiseLimitOfFiles(to wanted: UInt64 = 0) {
        guard let limit = try? limit(numberOfFiles) else { return }
        let higher = max(wanted, limit.hard)
        if higher > limit.hard, (try? setLimit(numberOfFiles, to: .init(soft: higher, hard: higher))) != nil { return }
        try? setLimit(numberOfFiles, to: .init(soft: limit.hard, hard: limit.hard))
    }

    /// Makes the table of open files of this process large enough for so many, as far as its limit allows.
    ///
    /// To be called while it has one thread. A full table is replaced by one of twice the size; where several threads share
    /// it, the kernel waits each time until no processor uses the old one any more (synchronize_rcu() in expand_files()):
    /// 10 to 20 ms, and everybody who opens a file waits, too.
    public static func makeRoom(forFiles count: UInt64) {
        let soft = (try? limit(numberOfFiles).soft) ?? 0
        let highest = min(count, soft)
        guard highest > 0, let file = try? Files.open("/", .path) else { return }
        // What is not to be had now the kernel makes when it is needed.
        _ = try? Files.duplicate(file.raw, from: Int32(clamping: highest - 1))
    }

    /// The limit up to which this process may raise its own: the hard one, and with CAP_SYS_RESOURCE fs.nr_open.
    public static var attainableNumberOfFiles: UInt64 {
        let hard = (try? limit(numberOfFiles).hard) ?? 1024
        let resources: UInt64 = 1 << 24  // CAP_SYS_RESOURCE
        guard let own = try? ProcessDirectory(current).status().capabilities, own.effective & resources != 0,
            let bytes = try? Files.contents(of: "/proc/sys/fs/nr_open")
        else { return hard }
        return max(hard, UInt64(String(decoding: bytes.prefix { $0 >= 0x30 }, as: UTF8.self)) ?? hard)
    }

    /// RLIMIT_NOFILE (getrlimit(2)).
    public static let numberOfFiles: Int32 = 7

    /// How a thread is scheduled (sched_setattr(2)).
    public struct Scheduling: Sendable, Hashable {
        /// SCHED_OTHER 0, FIFO 1, RR 2, BATCH 3, IDLE 5, DEADLINE 6, EXT 7.
        public var policy: UInt32
        /// SCHED_FLAG_*.
        public var flags: UInt64
        /// -20 to 19.
        public var nice: Int32
        /// Of the real-time policies: 1 to 99.
        public var priority: UInt32
        /// In nanoseconds; of SCHED_DEADLINE, and the time slice of SCHED_OTHER since Linux 6.12.
        public var runtime: UInt64
        /// In nanoseconds.
        public var deadline: UInt64
        /// In nanoseconds.
        public var period: UInt64
        /// The bounds of the utilization that the thread is taken for, 0 to 1024; nil where they are the usual ones.
        public var utilization: ClosedRange<UInt32>?

        public init(
            policy: UInt32, flags: UInt64, nice: Int32, priority: UInt32, runtime: UInt64, deadline: UInt64,
            period: UInt64
        ) {
            self.policy = policy
            self.flags = flags
            self.nice = nice
            self.priority = priority
            self.runtime = runtime
            self.deadline = deadline
            self.period = period
        }

        /// As sched_setattr(2) takes it (struct sched_attr).
        public var bytes: [UInt8] {
            let (clampsMinimum, clampsMaximum): (UInt64, UInt64) = (0x20, 0x40)
            let raw = apus_sched_attr(
                size: UInt32(MemoryLayout<apus_sched_attr>.size), policy: policy,
                flags: flags | (utilization == nil ? 0 : clampsMinimum | clampsMaximum), nice: nice,
                priority: priority, runtime: runtime, deadline: deadline, period: period,
                util_min: utilization?.lowerBound ?? 0, util_max: utilization?.upperBound ?? 0)
            return unsafe withUnsafeBytes(of: raw) { unsafe Array($0) }
        }
    }

    /// sched_getattr(2).
    public static func scheduling(of thread: Int32) throws(Errno) -> Scheduling {
        var raw = apus_sched_attr()
        let size = UInt(MemoryLayout<apus_sched_attr>.size)
        _ = try withAddress(of: &raw) { outcome(of: Int(SYS_sched_getattr), UInt(signed: thread), $0, size, 0) }
        var scheduling = Scheduling(
            policy: raw.policy, flags: raw.flags, nice: raw.nice, priority: raw.priority, runtime: raw.runtime,
            deadline: raw.deadline, period: raw.period)
        // Without CONFIG_UCLAMP_TASK both are 0; real-time threads are taken for the highest unless told otherwise.
        let isUsual = raw.util_max == 0 || (raw.util_max == 1024 && [0, 1024].contains(raw.util_min))
        if !isUsual, raw.util_min <= raw.util_max { scheduling.utilization = raw.util_min...raw.util_max }
        return scheduling
    }

    /// sched_getaffinity(2): the mask of processors as the kernel has it, processor 0 in bit 0 of the first byte.
    public static func affinity(of thread: Int32) throws(Errno) -> [UInt8] {
        // The kernel refuses a buffer smaller than its own mask with EINVAL; 8 KiB is room for 65,536 processors.
        let capacity = 8192
        return try bytes(filledBy: capacity) {
            outcome(of: Int(SYS_sched_getaffinity), UInt(signed: thread), UInt(capacity), $0)
        }
    }

    /// sched_setaffinity(2) of the calling thread.
    ///
    /// - Throws: EINVAL where it may run on none of these processors.
    public static func setAffinity(_ mask: [UInt8]) throws(Errno) {
        _ = try withAddress(ofBytes: mask) { outcome(of: Int(SYS_sched_setaffinity), 0, $1, $0) }.get()
    }

    /// What the clock of a processor shows by which its scheduler notes when threads run: never more than it does, and
    /// hardly less. The calling thread goes there for it.
    ///
    /// - Returns: nil where the kernel does not show it, or the thread may not run there.
    public static func schedulerTime(onProcessor processor: Int32) -> UInt64? {
        guard 0 <= processor, processor < 1 << 16 else { return nil }
        var mask = [UInt8](repeating: 0, count: Int(processor) / 8 + 1)
        mask[Int(processor) / 8] = 1 << UInt8(processor % 8)
        guard (try? setAffinity(mask)) != nil else { return nil }
        // The scheduler notes the time when it is asked whose turn it is.
        _ = try? call(Int(SYS_sched_yield))
        return try? ProcessDirectory(path: "/proc/thread-self").schedulerRecord().lastRun
    }

    /// getpriority(2) of one thread: nice, -20 to 19.
    public static func nice(of thread: Int32) throws(Errno) -> Int32 {
        // The system call itself answers 20 - nice, so as not to answer a negative number.
        20 - Int32(try call(Int(SYS_getpriority), 0, UInt(signed: thread)))
    }

    /// Does something with the calling thread in front of all others, as far as Apus may: on a busy machine it would
    /// otherwise wait for its turn each time that it has waited for somebody.
    public static func urgently<Result, Failure>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let (mostUrgent, before) = (Int32(-20), try? nice(of: 0))
        guard let before, (try? setNice(mostUrgent)) != nil else { return try body() }
        defer { try? setNice(before) }
        return try body()
    }

    /// setpriority(2) of the calling thread. Lower values than before need CAP_SYS_NICE.
    private static func setNice(_ value: Int32) throws(Errno) {
        try call(Int(SYS_setpriority), 0, 0, UInt(signed: value))
    }

    /// ioprio_get(2) of one thread: the class in bits 13 to 15, the level below; 0 means derived from nice.
    public static func ioPriority(of thread: Int32) throws(Errno) -> Int32 {
        Int32(try call(Int(SYS_ioprio_get), 1, UInt(signed: thread)))
    }
}
