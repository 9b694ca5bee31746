internal import CLinux
public import Diagnostics
public import Images
public import Linux
internal import SystemPackage
public import Tracing

/// How a thread runs, as far as the format of the images has no place for it. What is nil, or empty, is as usual.
public struct ThreadSettings: Sendable, Equatable {
    /// The processors that it may run on, processor 0 in bit 0 of the first byte (sched_setaffinity(2)).
    public var processors: [UInt8]?
    /// ioprio_set(2).
    public var ioPriority: Int32?
    /// PR_SET_TIMERSLACK, in nanoseconds.
    public var timerSlack: UInt64?
    /// What sched_setattr(2) takes beyond policy, nice and priority.
    public var scheduling: Processes.Scheduling?
    /// PR_SET_TSC: 2 for SIGSEGV.
    public var timeStampCounter: Int32?
    /// PR_MCE_KILL_SET: 0 late, 1 early.
    public var machineCheckKill: Int32?
    /// ARCH_SET_CPUID: the CPUID instruction raises SIGSEGV.
    public var hasNoCPUID = false
    /// PR_SET_IO_FLUSHER.
    public var isIOFlusher = false
    /// PR_SET_SPECULATION_CTRL: the settings by the number of the misfeature.
    public var speculation: [Int: UInt64] = [:]
    /// personality(2), which a thread may have another of than its process had.
    public var personality: UInt32?
    /// PR_SET_SYSCALL_USER_DISPATCH.
    public var dispatch: SystemCallDispatch?
    /// set_mempolicy(2).
    public var memoryPolicy: MemoryPolicy?
    /// IORING_REGISTER_RING_FDS: the descriptors of rings of io_uring, by the numbers that the thread knows them by.
    public var ringNumbers: [Int: Int32] = [:]
    /// What is in its tile registers.
    public var tiles: TileRegisters?

    public init() {}

    public var isUsual: Bool { self == ThreadSettings() }

    // MARK: What the thread itself has to be asked

    /// PR_* of prctl(2) (linux/prctl.h).
    private static let (getSlack, getCounter, getMachineCheck, getSpeculation): (Int, Int, Int, Int) = (30, 25, 34, 52)
    /// PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_L1D_FLUSH.
    private static let misfeatures = 0..<3
    /// What every process has that nobody has told otherwise.
    public static let usualSlack: UInt64 = 50_000
    private static let usualMachineCheck: Int64 = 2

    /// The questions of one batch. A kernel that does not know one of them has no such setting.
    public struct Questions: Sendable {
        let slack, machineCheck, cpuid: Int
        let speculation: [Int]
        let counter: Batch.Buffer
        let memoryPolicy: MemoryPolicyQuestion

        public init(_ batch: inout Batch) {
            func ask(_ number: Int, _ argument: Batch.Argument = 0) -> Int {
                batch.call(
                    Int(SYS_prctl), .int(number), argument, 0, 0, 0, expecting: Batch.anything, for: "read a setting")
            }
            slack = ask(ThreadSettings.getSlack)
            machineCheck = ask(ThreadSettings.getMachineCheck)
            speculation = ThreadSettings.misfeatures.map { ask(ThreadSettings.getSpeculation, .int($0)) }
            let getCPUID = 0x1011
            cpuid = batch.call(
                Int(SYS_arch_prctl), .int(getCPUID), 0, expecting: Batch.anything,
                for: "read whether it may ask for the processor's features")
            counter = batch.space(8)
            batch.call(
                Int(SYS_prctl), .int(ThreadSettings.getCounter), .address(counter), expecting: Batch.anything,
                for: "read whether it may read the time stamp counter")
            memoryPolicy = MemoryPolicyQuestion(&batch)
        }

        public func answer(_ result: BatchResult) -> ThreadSettings {
            var settings = ThreadSettings()
            // Of real-time threads it is 0, and follows from that.
            if result[slack] > 0, result[slack] != Int64(usualSlack) { settings.timerSlack = UInt64(result[slack]) }
            if result[machineCheck] >= 0, result[machineCheck] != usualMachineCheck {
                settings.machineCheckKill = Int32(truncatingIfNeeded: result[machineCheck])
            }
            settings.hasNoCPUID = result[cpuid] == 0
            settings.memoryPolicy = memoryPolicy.answer(result)
            let sigsegv: Int32 = 2
            if result.integer(Int32.self, in: counter) == sigsegv { settings.timeStampCounter = sigsegv }
            for (misfeature, index) in speculation.enumerated() {
                let isOwnChoice = result[index] > 0 && result[index] & 1 == 1
                if isOwnChoice, result[index] != ThreadSettings.ownSpeculation[misfeature] {
                    settings.speculation[misfeature] = UInt64(result[index])
                }
            }
            return settings
        }
    }

    /// Those of Apus: what is usual on this host.
    private static let ownSpeculation: [Int64] = misfeatures.map {
        Int64(apus_syscall(Int(SYS_prctl), UInt(getSpeculation), UInt($0), 0, 0, 0, 0))
    }

    // MARK: What can be seen from outside

    /// PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE, by which the kernel shows PR_SET_IO_FLUSHER.
    private static let flusherFlags: UInt32 = 0x0018_0000

    /// Adds what can be seen of a thread.
    ///
    /// - Parameter flags: of its `stat`.
    public mutating func look(at thread: Int32, _ scheduling: Processes.Scheduling, flags: UInt32) {
        isIOFlusher = flags & Self.flusherFlags == Self.flusherFlags
        if let mask = try? Processes.affinity(of: thread), let all = Self.allProcessors, !mask.starts(with: all),
            !Self.isGiven(mask, to: thread)
        {
            processors = Array(mask.prefix((mask.lastIndex { $0 != 0 } ?? 0) + 1))
        }
        if let priority = try? Processes.ioPriority(of: thread), priority != 0 { ioPriority = priority }
        let ofOthers: UInt32 = 5
        let hasOwnSlice = scheduling.runtime != 0 && scheduling.runtime != Self.usualSlice
        if scheduling.policy > ofOthers || scheduling.flags != 0 || scheduling.utilization != nil || hasOwnSlice {
            self.scheduling = scheduling
        }
    }

    /// The time slice that Apus has, in nanoseconds: what is usual on this host.
    private static let usualSlice = (try? Processes.scheduling(of: 0))?.runtime ?? 0

    /// Whether a thread has these processors from its control group: then it is bound to them there alone.
    private static func isGiven(_ mask: [UInt8], to thread: Int32) -> Bool {
        guard let online = allProcessors, let set = sets?.processors(of: ProcessDirectory(thread)) else { return false }
        let given = ProcessorMask.common(set, online)
        return mask.starts(with: given) && mask.dropFirst(given.count).allSatisfy { $0 == 0 }
    }

    private static let sets = (try? ProcessDirectory(path: "/proc/self").mounts()).map { ProcessorSet(mounts: $0) }

    /// The mask of all processors that are on, as sched_getaffinity(2) would give it; nil where it cannot be found out.
    private static let allProcessors: [UInt8]? = ProcessorMask.online
}

extension ThreadSettings {
    /// For the supplement.
    public var json: JSON {
        var members: [JSON.Member] = []
        func add(_ name: String, _ value: (some FixedWidthInteger)?) {
            if let value { members.append(.init(name, .number(value))) }
        }
        if let processors { members.append(.init("processors", .string(ProcessorMask.text(processors)))) }
        add("io_priority", ioPriority)
        add("timer_slack", timerSlack)
        add("time_stamp_counter", timeStampCounter)
        add("personality", personality)
        add("machine_check_kill", machineCheckKill)
        if hasNoCPUID { members.append(.init("no_cpuid", true)) }
        if isIOFlusher { members.append(.init("io_flusher", true)) }
        for (misfeature, setting) in speculation.sorted(by: { $0.key < $1.key }) {
            add("speculation_\(misfeature)", setting)
        }
        if let memoryPolicy { members.append(.init("memory_policy", .object(memoryPolicy.members))) }
        if !ringNumbers.isEmpty {
            let sorted = ringNumbers.sorted { $0.key < $1.key }
            members.append(.init("ring_numbers", .array(sorted.map { .number($0.key) })))
            members.append(.init("ring_descriptors", .array(sorted.map { .number($0.value) })))
        }
        if let tiles { members.append(.init("tiles", tiles.json)) }
        add("dispatch_mode", dispatch?.mode)
        add("dispatch_offset", dispatch?.offset)
        add("dispatch_length", dispatch?.length)
        add("dispatch_selector", dispatch?.selector)
        if let scheduling {
            add("sched_policy", scheduling.policy)
            add("sched_flags", scheduling.flags)
            add("sched_nice", scheduling.nice)
            add("sched_priority", scheduling.priority)
            add("sched_runtime", scheduling.runtime)
            add("sched_deadline", scheduling.deadline)
            add("sched_period", scheduling.period)
            add("sched_util_min", scheduling.utilization?.lowerBound)
            add("sched_util_max", scheduling.utilization?.upperBound)
        }
        return .object(members)
    }

    /// From the supplement. Numbers that make no sense are refused by the kernel, and told.
    public init(_ json: JSON?) {
        guard let json else { return }
        func number<T: FixedWidthInteger>(_ name: String) -> T? {
            json[name]?.bits.map { T(truncatingIfNeeded: $0) }
        }
        if case .string(let text) = json["processors"] { processors = ProcessorMask.parse(text) }
        ioPriority = number("io_priority")
        timerSlack = number("timer_slack")
        timeStampCounter = number("time_stamp_counter")
        machineCheckKill = number("machine_check_kill")
        personality = number("personality")
        hasNoCPUID = json["no_cpuid"] == .bool(true)
        isIOFlusher = json["io_flusher"] == .bool(true)
        memoryPolicy = json["memory_policy"].flatMap { MemoryPolicy($0) }
        for misfeature in Self.misfeatures { speculation[misfeature] = number("speculation_\(misfeature)") }
        let numbers = (json["ring_numbers"]?.elements ?? []).compactMap { $0.bits.flatMap { Int(exactly: $0) } }
        var descriptors = (json["ring_descriptors"]?.elements ?? []).compactMap {
            $0.bits.flatMap { Int32(exactly: $0) }
        }
        // Before several could be told from each other, one stood for all.
        if let only: Int32 = number("ring_descriptor") { descriptors = numbers.map { _ in only } }
        ringNumbers = Dictionary(zip(numbers, descriptors)) { first, _ in first }
        tiles = json["tiles"].flatMap { TileRegisters($0) }
        if let mode: UInt64 = number("dispatch_mode") {
            dispatch = SystemCallDispatch(
                mode: mode, offset: number("dispatch_offset") ?? 0, length: number("dispatch_length") ?? 0,
                selector: number("dispatch_selector") ?? 0)
        }
        if let policy: UInt32 = number("sched_policy") {
            var found = Processes.Scheduling(
                policy: policy, flags: number("sched_flags") ?? 0, nice: number("sched_nice") ?? 0,
                priority: number("sched_priority") ?? 0, runtime: number("sched_runtime") ?? 0,
                deadline: number("sched_deadline") ?? 0, period: number("sched_period") ?? 0)
            if let low: UInt32 = number("sched_util_min"), let high: UInt32 = number("sched_util_max"), low <= high {
                found.utilization = low...high
            }
            scheduling = found
        }
    }
}
