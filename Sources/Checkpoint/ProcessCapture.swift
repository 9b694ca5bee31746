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
}

/// Takes one frozen process under control, asks it what it alone can tell, and lets it go again, frozen as before.
struct ProcessCapture {
    let process: FrozenProcess
    let surveyed: SurveyedProcess
    let memories: CommonMemory
    /// The sets of semaphores that it may have to adjust at its end.
    let sets: [(id: Int32, count: Int)]
    let deadline: Deadline
    /// How long threads have waited in their system calls, by thread, where that is known.
    private let waited: [Int32: UInt64]

    /// - Parameter waits: as they were before the freeze.
    init(
        process: FrozenProcess, surveyed: SurveyedProcess, memories: CommonMemory, waits: ObservedWaits,
        sets: [(id: Int32, count: Int)], deadline: Deadline
    ) {
        self.process = process
        self.surveyed = surveyed
        self.memories = memories
        self.sets = sets
        self.deadline = deadline
        var waited: [Int32: UInt64] = [:]
        for thread in process.threads { waited[thread.tid] = waits.waited(thread) }
        self.waited = waited
    }

    /// - Parameters:
    ///   - filters: where seccomp filters are recorded.
    ///   - twins: where it gets its twin, if it is to have one.
    ///   - domains: what is known of users whose processes are asked about Landlock.
    ///   - queues: what is found in POSIX message queues.
    /// - Throws: the process is as it was then.
    func run(
        _ filters: inout SeccompFilters, _ twins: inout Twins, _ domains: LandlockDomains,
        _ queues: inout PosixQueueContents
    ) throws(Problem) -> CapturedProcess {
        try refuseDispatch()
        try suspendFilters()
        try ProtectionKeys.refuseDenied(process, surveyed)
        try PortPermissions.refuse(process, surveyed)
        let vdso = surveyed.areas.first { $0.kind == .vdso }?.area.range
        let control = try RemoteControl(
            process, sharingMemoryWith: memories.others(process.pid),
            vdso: vdso.map { RemoteAddress($0.lowerBound)..<RemoteAddress($0.upperBound) }, deadline: deadline)
        do throws(Problem) {
            let (answers, futureLocks) = try Processes.urgently { () throws(Problem) in
                let answers = try ask(control, domains)
                try queues.read(surveyed.descriptors, control.run)
                let futureLocks = try MemoryTraitsCapture.futureLocks(surveyed)
                try twins.add(
                    control, isSubreaper: answers.attributes.isSubreaper, memoryOf: memories.owner(of: process.pid))
                try control.release()
                return (answers, futureLocks)
            }
            if answers.peculiarities.hasSegments {
                throw Problem(
                    .unsupported, "it has segments of its own (modify_ldt(2)), which images have no place for",
                    object: surveyed.object, remedy: "Programs of 16 and 32 bits need them: end what runs these")
            }
            var captured = try capture(answers, control, &filters)
            captured.futureLocks = futureLocks
            captured.deadRings = answers.deadRings
            captured.policies = answers.policies
            captured.protectionKeys = answers.protectionKeys
            captured.undo = answers.undo
            return captured
        } catch {
            // Closing the channel is the way out where this fails too.
            try? control.release()
            throw error
        }
    }

    private struct Answers {
        var actions: SignalActions
        var timers: TaskTimersEntry
        var attributes: ProcessAttributes
        var peculiarities: ProcessAttributes.Peculiarities
        var threads: [ThreadAttributes]
        /// As many as `threads`.
        var status: [TaskStatus]
        /// Of a 32-bit program, as many as `threads`.
        var compat: [CompatThread] = []
        var session: Keyrings.Session?
        var deadRings: Set<UInt64> = []
        var policies = MemoryPolicies()
        var protectionKeys: [Int] = []
        var undo: [SemaphoreUndo] = []
    }

    /// One batch for all that concerns the process and its leader; one for each other thread.
    private func ask(_ control: RemoteControl, _ domains: LandlockDomains) throws(Problem) -> Answers {
        let status = try status(of: process.threads[0])
        var batch = Batch()
        let actions = SignalActions.Questions(&batch)
        let timers = Timers.Questions(surveyed.timers, &batch)
        let attributes = ProcessAttributes.Questions(&batch)
        let peculiarities = ProcessAttributes.Peculiarities.Questions(&batch)
        let leader = ThreadAttributes.Questions(&batch, bystander: domains.bystander(of: status))
        let compat = control.isCompat ? CompatThread.Questions(&batch) : nil
        let rings = AsyncRing.Questions(
            surveyed.areas.filter { $0.kind == .asyncIO }.map(\.area.range.lowerBound), &batch)
        let keys = ProtectionKeys(surveyed, &batch)
        var asked = surveyed.areas[...]
        let policies = MemoryPolicies.Modes(&asked, &batch)
        // The last of the batch: a kernel that refuses the child ends it there.
        let session = try askSession(control, &batch)
        let result = try control.run(batch)
        if result.failedCall != session?.maker { try result.check() }
        var answers = Answers(
            actions: actions.answer(result), timers: timers.answer(result), attributes: attributes.answer(result),
            peculiarities: peculiarities.answer(result), threads: [leader.answer(result)],
            status: [status], compat: compat.map { [$0.answer(result)] } ?? [], deadRings: rings.dead(result),
            protectionKeys: keys.answer(result))
        if let session, result.failedCall == nil {
            answers.session = session.question.answer(try control.collect(ofChild: session.calls))
        }
        try answers.policies.complete(policies.answer(result), asked, control)
        answers.undo = try SemaphoreUndo.find(in: sets, of: process.pid, control.run)
        try judge(answers.threads[0].landlock, status, process.threads[0], control, domains)
        for thread in process.threads.dropFirst() {
            let status = try self.status(of: thread)
            var batch = Batch()
            let questions = ThreadAttributes.Questions(&batch, bystander: domains.bystander(of: status))
            let compat = control.isCompat ? CompatThread.Questions(&batch) : nil
            let result = try control.run(batch, on: thread)
            try result.check()
            answers.threads.append(questions.answer(result))
            answers.status.append(status)
            try judge(answers.threads.last?.landlock, status, thread, control, domains)
            if let compat { answers.compat.append(compat.answer(result)) }
        }
        return answers
    }

    private func judge(
        _ answer: Landlock.Answer?, _ status: TaskStatus, _ thread: Tracee, _ control: RemoteControl,
        _ domains: LandlockDomains
    ) throws(Problem) {
        try domains.judge(answer, status, surveyed.object) { () throws(Problem) in
            guard !control.isCompat, status.seccompMode ?? 0 == 0 else { return nil }
            let question = Landlock.LayerQuestion()
            return try control.run(question.calls, inChildOf: thread).map(question.answer)
        }
    }

    /// Adds a child that asks for the session keyring, where there may be any.
    private func askSession(
        _ control: RemoteControl, _ batch: inout Batch
    ) throws(Problem) -> (question: Keyrings.SessionQuestion, maker: Int, calls: Batch)? {
        guard Keyrings.mayHaveSessions, !control.isCompat, surveyed.status.seccompMode ?? 0 == 0 else { return nil }
        let question = Keyrings.SessionQuestion()
        let (maker, calls) = try control.addChild(making: question.calls, to: &batch)
        return (question, maker, calls)
    }

    private func capture(
        _ answers: Answers, _ control: RemoteControl, _ filters: inout SeccompFilters
    ) throws(Problem) -> CapturedProcess {
        let shared = try sharedPending()
        var cores: [(tid: Int32, core: CoreEntry)] = []
        if surveyed.hasLostLeader {
            var core = try endedLeader()
            core.tc = try taskCore(answers, shared)
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
            if thread.tid == process.pid { core.tc = try taskCore(answers, shared) }
            if control.isCompat { try complete(&core, answers, of: thread.tid) }
            cores.append((thread.tid, core))
            if !settings.isUsual { threadSettings.append((thread.tid, settings)) }
            if let wait = capture.wait(waited[thread.tid]) { waits.append((thread.tid, wait)) }
        }
        var settings = answers.peculiarities.settings
        settings.look(at: ProcessDirectory(process.eye), leadsSession: surveyed.stat.session == process.pid)
        let pending = cores.flatMap { $0.core.threadCore.signalsP.signals.map { Array($0.bytes) } } + shared
        return CapturedProcess(
            pid: process.pid, cores: cores, attributes: answers.attributes, settings: settings,
            threadSettings: threadSettings, roundTrips: control.roundTrips,
            keyrings: Set(answers.threads.flatMap(\.keyrings)).sorted(), session: answers.session, waits: waits,
            losses: Losses.overruns(of: answers.timers.posix, pending: pending))
    }

    private func status(of thread: Tracee) throws(Problem) -> TaskStatus {
        // The survey of the still tree has read that of one of them already.
        if thread.tid == surveyed.pid { return surveyed.status }
        do throws(ProcfsError) { return try ProcessDirectory(thread.pid, thread: thread.tid).status() } catch {
            throw unreadable(error.errno ?? .ioError, "read of \(error.file)")
        }
    }

    private func complete(_ core: inout CoreEntry, _ answers: Answers, of tid: Int32) throws(Problem) {
        guard let index = process.threads.firstIndex(where: { $0.tid == tid }) else { return }
        do throws(Errno) { try answers.compat[index].complete(&core, of: tid) } catch {
            throw unreadable(error, "ptrace(PTRACE_GET_THREAD_AREA)")
        }
    }

    /// Where filters could not be suspended at the freeze already, threads that have some are refused.
    private func suspendFilters() throws(Problem) {
        for thread in process.threads where !thread.suspendsSeccomp {
            let status = try? ProcessDirectory(thread.pid, thread: thread.tid).status()
            if status?.seccompMode ?? 0 != 0 { try SeccompFilters.suspend(thread.tid, of: thread.pid) }
        }
    }

    /// A thread whose system calls are dispatched to itself (PR_SET_SYSCALL_USER_DISPATCH) could not even be asked.
    private func refuseDispatch() throws(Problem) {
        for thread in process.threads where (try? Ptrace.dispatchesSystemCalls(thread.tid)) == true {
            throw Problem(
                .unsupported, "thread \(thread.tid) has its system calls dispatched to itself (syscall user dispatch)",
                object: surveyed.object, remedy: "Programs for other systems run so: dump before one is started")
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

    private func taskCore(_ answers: Answers, _ pending: [[UInt8]]) throws(Problem) -> TaskCoreEntry {
        let directory = ProcessDirectory(process.eye)
        do throws(ProcfsError) {
            var entry = TaskCoreEntry()
            entry.taskState = (process.groupStop == nil ? TaskState.alive : .stopped).rawValue
            entry.exitCode = surveyed.hasLostLeader ? UInt32(bitPattern: surveyed.stat.exitCode) : 0
            entry.personality = try directory.personality()
            entry.flags = surveyed.stat.flags
            entry.blkSigset = process.threads[0].signalMask
            entry.commBytes = surveyed.stat.name
            entry.timers = answers.timers
            entry.rlimits = answers.attributes.limits
            entry.signalsS = PendingSignals.entry(pending)
            // A kernel without CONFIG_AUDIT has none.
            entry.loginuid = (try? directory.loginUser()) ?? .max
            entry.oomScoreAdj = try directory.outOfMemoryAdjustment()
            entry.sigactions = answers.actions.entries(compat: !answers.compat.isEmpty)
            entry.childSubreaper = answers.attributes.isSubreaper
            if let signal = process.groupStop { entry.stopSigno = UInt32(bitPattern: signal) }
            if answers.attributes.membarrier != 0 { entry.membarrierRegistrationMask = answers.attributes.membarrier }
            return entry
        } catch {
            throw unreadable(error.errno ?? .ioError, "read of \(error.file)")
        }
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
