internal import CLinux
public import Images
public import Tracing

/// What only a process itself can tell about itself: limits, the end of its heap, settings of prctl(2).
public struct ProcessAttributes: Sendable {
    public var limits: TaskRlimitsEntry
    /// brk(2).
    public var heapEnd: UInt64
    /// PR_GET_DUMPABLE: 0, 1, or 2 (suidsafe).
    public var dumpable: Int32
    public var hugePagesDisabled: Bool
    public var isSubreaper: Bool
    /// The registrations of membarrier(2); 0 where the kernel cannot tell (before 6.3).
    public var membarrier: UInt32

    public init(
        limits: TaskRlimitsEntry, heapEnd: UInt64, dumpable: Int32, hugePagesDisabled: Bool, isSubreaper: Bool,
        membarrier: UInt32
    ) {
        self.limits = limits
        self.heapEnd = heapEnd
        self.dumpable = dumpable
        self.hugePagesDisabled = hugePagesDisabled
        self.isSubreaper = isSubreaper
        self.membarrier = membarrier
    }

    /// PR_* of prctl(2) (linux/prctl.h).
    private static let (getDumpable, getHugePages, getSubreaper): (Int, Int, Int) = (3, 42, 37)
    private static let getRegistrations = 1 << 9

    /// The questions of one batch.
    public struct Questions: Sendable {
        let limits: [Batch.Buffer]
        let heapEnd, dumpable, hugePages, membarrier: Int
        let subreaper: Batch.Buffer

        public init(_ batch: inout Batch) {
            var limits: [Batch.Buffer] = []
            for resource in 0..<16 {
                let buffer = batch.space(16)
                batch.call(
                    Int(SYS_prlimit64), 0, .int(resource), 0, .address(buffer),
                    for: "read its resource limit \(resource)")
                limits.append(buffer)
            }
            self.limits = limits
            heapEnd = batch.call(Int(SYS_brk), 0, for: "find the end of its heap")
            dumpable = batch.call(Int(SYS_prctl), .int(getDumpable), for: "read whether it may dump core")
            hugePages = batch.call(
                Int(SYS_prctl), .int(getHugePages), 0, 0, 0, 0, expecting: Batch.anything,
                for: "read its use of huge pages")
            subreaper = batch.space(8)
            batch.call(
                Int(SYS_prctl), .int(getSubreaper), .address(subreaper), for: "read whether it adopts orphans")
            membarrier = batch.call(
                Int(SYS_membarrier), .int(getRegistrations), 0, 0, expecting: Batch.anything,
                for: "read its memory barriers")
        }

        public func answer(_ result: BatchResult) -> ProcessAttributes {
            var entry = TaskRlimitsEntry()
            entry.rlimits = limits.map { buffer in
                var limit = RlimitEntry()
                limit.cur = result.integer(UInt64.self, in: buffer)
                limit.max = result.integer(UInt64.self, in: buffer, at: 8)
                return limit
            }
            return ProcessAttributes(
                limits: entry, heapEnd: UInt64(bitPattern: result[heapEnd]),
                dumpable: Int32(truncatingIfNeeded: result[dumpable]),
                hugePagesDisabled: result[hugePages] & 1 == 1 && result[hugePages] > 0,
                isSubreaper: result.integer(Int32.self, in: subreaper) != 0,
                membarrier: UInt32(clamping: max(0, result[membarrier])))
        }
    }
}

/// What only a thread itself can tell about itself.
public struct ThreadAttributes: Sendable {
    public var signalStack: ThreadSasEntry
    /// What is zeroed and woken when the thread ends (set_tid_address(2)).
    public var clearAddress: UInt64
    /// PR_GET_PDEATHSIG, 0 for none.
    public var deathSignal: Int32
    /// PR_GET_SECUREBITS (capabilities(7)).
    public var secureBits: UInt32
    /// As far as the thread itself can tell.
    public var settings: ThreadSettings
    /// nil where it was not asked.
    public var landlock: Landlock.Answer?
    /// The keyrings that it has of its own.
    public var keyrings: [String]
    /// What rings of io_uring tell it alone.
    public var rings: RequestRingThread

    private static let (getAddress, getDeathSignal, getSecureBits): (Int, Int, Int) = (40, 2, 27)

    /// The questions of one batch.
    public struct Questions: Sendable {
        let stack, address, deathSignal: Batch.Buffer
        let secureBits: Int
        let settings: ThreadSettings.Questions
        let landlock: Landlock.Question?
        let keyrings: Keyrings.Question
        let rings: RequestRingThread.Questions

        /// - Parameters:
        ///   - bystander: of the thread's real user and group, where Landlock is to be asked about.
        ///   - rings: descriptors of rings of io_uring that answer one thread alone.
        public init(_ batch: inout Batch, bystander: Bystander? = nil, rings: [Int32] = []) {
            self.rings = RequestRingThread.Questions(rings, &batch)
            settings = ThreadSettings.Questions(&batch)
            keyrings = Keyrings.Question(&batch)
            landlock = bystander.map { Landlock.Question($0, &batch) }
            stack = batch.space(24)
            batch.call(Int(SYS_sigaltstack), 0, .address(stack), for: "read its alternate signal stack")
            address = batch.space(8)
            batch.call(
                Int(SYS_prctl), .int(getAddress), .address(address),
                for: "read what is cleared when it ends (this needs a kernel with CONFIG_CHECKPOINT_RESTORE)")
            deathSignal = batch.space(8)
            batch.call(Int(SYS_prctl), .int(getDeathSignal), .address(deathSignal), for: "read its parent-death signal")
            secureBits = batch.call(Int(SYS_prctl), .int(getSecureBits), for: "read its secure bits")
        }

        public func answer(_ result: BatchResult) -> ThreadAttributes {
            var entry = ThreadSasEntry()
            entry.ssSp = result.integer(UInt64.self, in: stack)
            // SS_ONSTACK tells where the stack pointer stands, and is no setting.
            entry.ssFlags = result.integer(UInt32.self, in: stack, at: 8) & ~1
            entry.ssSize = result.integer(UInt64.self, in: stack, at: 16)
            return ThreadAttributes(
                signalStack: entry, clearAddress: result.integer(UInt64.self, in: address),
                deathSignal: result.integer(Int32.self, in: deathSignal),
                secureBits: UInt32(truncatingIfNeeded: result[secureBits]), settings: settings.answer(result),
                landlock: landlock?.answer(result), keyrings: keyrings.answer(result),
                rings: rings.answer(result))
        }
    }
}
