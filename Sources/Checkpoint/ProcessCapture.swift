internal import CLinux
internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// What one process has told and shown of itself; its memory and its files aside.
struct CapturedProcess {
    let pid: Int32
    /// By thread, the leader first; the leader's with the task-wide part.
    let cores: [(tid: Int32, core: CoreEntry)]
    let attributes: ProcessAttributes
    /// What the format has no place for.
    let settings: ProcessSettings
    let threadSettings: [(tid: Int32, settings: ThreadSettings)]
    /// What mlockall(2) has said about mappings to come.
    var futureLocks: UInt32 = 0
    /// The addresses of rings of asynchronous I/O that only its parent could use.
    var deadRings: Set<UInt64> = []
    /// On which nodes of the host its memory is.
    var policies = MemoryPolicies()
    /// The protection keys that it has allocated.
    var protectionKeys: [Int] = []
    let roundTrips: Int
    /// The kinds of keyrings that its threads have of their own.
    var keyrings: [String] = []
    var session: Keyrings.Session?
    /// What is left of waits, by thread.
    var waits: [(tid: Int32, wait: InterruptedWait)] = []
    /// What it adds to semaphores at its end.
    var undo: [SemaphoreUndo] = []
    /// What images have no place for and a restored process does without.
    var losses: [String] = []
    /// What rings of io_uring tell its threads.
    var rings: [RequestRingThread] = []
}

/// Takes one frozen process under control, asks it what it alone can tell, and lets it go again, frozen as before.
///
/// To be called in this order: `enterFurther` and `leaveFurther` again and again, until they say that it is enough. Several
/// processes can be on this way at a time (`CaptureRound`).
final class ProcessCapture {
    let process: FrozenProcess
    let surveyed: SurveyedProcess
    private let control: RemoteControl
    private let interview: Interview
    private let memories: CommonMemory
    private var answers: Interview.Answers?
    private var futureLocks: UInt32 = 0
    /// How long threads have waited in their system calls, by thread, where that is known.
    private let waited: [Int32: UInt64]

    /// Nothing runs in the process yet.
    ///
    /// - Parameters:
    ///   - waits: as they were before the freeze.
    ///   - sets: the sets of semaphores that it may have to adjust at its end.
    /// - Throws: where it is known already that it cannot be carried.
    init(
        process: FrozenProcess, surveyed: SurveyedProcess, memories: CommonMemory, waits: ObservedWaits,
        sets: [(id: Int32, count: Int)], deadline: Deadline
    ) throws(Problem) {
        self.process = process
        self.surveyed = surveyed
        self.memories = memories
        var waited: [Int32: UInt64] = [:]
        for thread in process.threads { waited[thread.tid] = waits.waited(thread) }
        self.waited = waited
        try Self.suspendFilters(process)
        try ProtectionKeys.refuseDenied(process, surveyed)
        try PortPermissions.refuse(process, surveyed)
        let vdso = surveyed.areas.first { $0.kind == .vdso }?.area.range
        control = try RemoteControl(
            process, sharingMemoryWith: memories.others(process.pid),
            vdso: vdso.map { RemoteAddress($0.lowerBound)..<RemoteAddress($0.upperBound) }, deadline: deadline)
        interview = Interview(process, surveyed, control, sets: sets)
    }

    /// Goes one step on the way under control; true when it is.
    func enterFurther() throws(Problem) -> Bool { try control.enterFurther() }

    /// Asks what can be asked at once, and does not wait for the answer.
    ///
    /// - Parameter domains: what is known of users whose processes are asked about Landlock.
    func ask(_ domains: LandlockDomains) throws(Problem) { try interview.begin(domains) }

    /// Hears the answers, and asks the rest.
    ///
    /// - Parameters:
    ///   - twins: where it gets its twin, if it is to have one.
    ///   - queues: what is found in POSIX message queues.
    ///   - tracking: where what it writes to from now on is watched.
    func hear(
        _ twins: inout Twins, _ domains: LandlockDomains, _ queues: inout PosixQueueContents, _ tracking: WriteTracking?
    ) throws(Problem) {
        let answers = try interview.complete(domains)
        self.answers = answers
        try queues.read(surveyed.descriptors, control.run)
        futureLocks = try MemoryTraitsCapture.futureLocks(surveyed)
        try twins.add(
            control, isSubreaper: answers.attributes.isSubreaper, memoryOf: memories.owner(of: process.pid))
        try tracking?.add(control, surveyed, memoryOf: memories.owner(of: process.pid))
    }

    /// Goes one step on the way out; true when the process is as it was, frozen.
    func leaveFurther() throws(Problem) -> Bool { try control.leaveFurther() }

    /// After an error: closing the channel is the way out where this fails too.
    func abandon() { try? control.release() }

    /// What it has told, and what can be seen of it now.
    ///
    /// - Parameters:
    ///   - facts: what can be seen of it without asking.
    ///   - filters: where seccomp filters are recorded.
    func finish(_ facts: StillFacts, _ filters: inout SeccompFilters) throws(Problem) -> CapturedProcess {
        guard let answers else { preconditionFailure("it has not been asked") }
        if answers.peculiarities.hasSegments {
            throw Problem(
                .unsupported, "it has segments of its own (modify_ldt(2)), which images have no place for",
                object: surveyed.object, remedy: "Programs of 16 and 32 bits need them: end what runs these")
        }
        var captured = try capture(answers, facts, &filters)
        captured.futureLocks = futureLocks
        captured.deadRings = answers.deadRings
        captured.policies = answers.policies
        captured.protectionKeys = answers.protectionKeys
        captured.undo = answers.undo
        return captured
    }

    private func capture(
        _ answers: Interview.Answers, _ facts: StillFacts, _ filters: inout SeccompFilters
    ) throws(Problem) -> CapturedProcess {
        let shared = try sharedPending()
        var cores: [(tid: Int32, core: CoreEntry)] = []
        if surveyed.hasLostLeader {
            var core = try endedLeader()
            core.tc = taskCore(answers, facts, shared)
            cores.append((process.pid, core))
        }
        var threadSettings: [(tid: Int32, settings: ThreadSettings)] = []
        var waits: [(tid: Int32, wait: InterruptedWait)] = []
        for (index, thread) in process.threads.enumerated() {
            let capture = ThreadCapture(
                thread: thread, process: surveyed.name, eye: process.eye, memory: control.memory,
                attributes: answers.threads[index],
                status: answers.status[index], actions: answers.actions,
                seen: thread.tid == surveyed.pid ? surveyed.stat : nil)
            var (core, settings) = try capture.core(sharedPending: PendingSignals.set(shared), &filters)
            if thread.tid == process.pid { core.tc = taskCore(answers, facts, shared) }
            if control.isCompat { try complete(&core, answers, of: thread.tid) }
            cores.append((thread.tid, core))
            settings.ringNumbers = try IoUring.meaning(
                ofNumbers: answers.threads[index].rings, surveyed.descriptors, thread: thread.tid, surveyed.object)
            if !settings.isUsual { threadSettings.append((thread.tid, settings)) }
            if let wait = capture.wait(waited[thread.tid]) { waits.append((thread.tid, wait)) }
        }
        var settings = answers.peculiarities.settings
        settings.add(facts.settings)
        let pending = cores.flatMap { $0.core.threadCore.signalsP.signals.map { Array($0.bytes) } } + shared
        return CapturedProcess(
            pid: process.pid, cores: cores, attributes: answers.attributes, settings: settings,
            threadSettings: threadSettings, roundTrips: control.roundTrips,
            keyrings: Set(answers.threads.flatMap(\.keyrings)).sorted(), session: answers.session, waits: waits,
            losses: Losses.overruns(of: answers.timers.posix, pending: pending)
                + Losses.dispatch(of: process, answers.actions),
            rings: answers.threads.map(\.rings))
    }

    private func complete(_ core: inout CoreEntry, _ answers: Interview.Answers, of tid: Int32) throws(Problem) {
        guard let index = process.threads.firstIndex(where: { $0.tid == tid }) else { return }
        do throws(Errno) { try answers.compat[index].complete(&core, of: tid) } catch {
            throw unreadable(error, "ptrace(PTRACE_GET_THREAD_AREA)")
        }
    }

    /// Where filters could not be suspended at the freeze already, threads that have some are refused.
    private static func suspendFilters(_ process: FrozenProcess) throws(Problem) {
        for thread in process.threads where !thread.suspendsSeccomp {
            let status = try? ProcessDirectory(thread.pid, thread: thread.tid).status()
            if status?.seccompMode ?? 0 != 0 { try SeccompFilters.suspend(thread.tid, of: thread.pid) }
        }
    }

    private func endedLeader() throws(Problem) -> CoreEntry {
        do throws(ProcfsError) {
            return try EndedLeader.core(of: process.pid)
        } catch {
            throw unreadable(error.errno ?? .ioError, "read of \(error.file)")
        }
    }

    private func sharedPending() throws(Problem) -> [[UInt8]] {
        do throws(Errno) {
            return try Ptrace.pendingSignals(process.eye, in: .process)
        } catch {
            throw unreadable(error, "ptrace(PTRACE_PEEKSIGINFO)")
        }
    }

    private func taskCore(
        _ answers: Interview.Answers, _ facts: StillFacts, _ pending: [[UInt8]]
    ) -> TaskCoreEntry {
        var entry = TaskCoreEntry()
        entry.taskState = (process.groupStop == nil ? TaskState.alive : .stopped).rawValue
        entry.exitCode = surveyed.hasLostLeader ? UInt32(bitPattern: surveyed.stat.exitCode) : 0
        entry.personality = facts.personality
        entry.flags = surveyed.stat.flags
        entry.blkSigset = process.threads[0].signalMask
        entry.commBytes = surveyed.stat.name
        entry.timers = answers.timers
        entry.rlimits = answers.attributes.limits
        entry.signalsS = PendingSignals.entry(pending)
        entry.loginuid = facts.loginUser
        entry.oomScoreAdj = facts.outOfMemoryAdjustment
        entry.sigactions = answers.actions.entries(compat: !answers.compat.isEmpty)
        entry.childSubreaper = answers.attributes.isSubreaper
        if let signal = process.groupStop { entry.stopSigno = UInt32(bitPattern: signal) }
        if answers.attributes.membarrier != 0 { entry.membarrierRegistrationMask = answers.attributes.membarrier }
        return entry
    }

    private func unreadable(_ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .objectUnreadable, "its state cannot be read", object: surveyed.object,
            cause: .init(error, attempted: attempted), remedy: "Run Apus as root")
    }

    /// The core image of a process that has ended and waits for its parent.
    static func zombie(_ surveyed: SurveyedProcess) -> CapturedProcess {
        var entry = CoreEntry()
        entry.mtype = .x8664
        entry.tc.taskState = TaskState.dead.rawValue
        entry.tc.exitCode = UInt32(bitPattern: surveyed.stat.exitCode)
        entry.tc.personality = 0
        entry.tc.flags = 0
        entry.tc.blkSigset = 0
        entry.tc.commBytes = surveyed.stat.name
        let attributes = ProcessAttributes(
            limits: TaskRlimitsEntry(), heapEnd: 0, dumpable: 0, hugePagesDisabled: false, isSubreaper: false,
            membarrier: 0)
        return CapturedProcess(
            pid: surveyed.pid, cores: [(surveyed.pid, entry)], attributes: attributes, settings: .init(),
            threadSettings: [],
            roundTrips: 0)
    }
}
