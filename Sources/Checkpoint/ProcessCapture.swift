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
    let roundTrips: Int
    /// What is left of sleeps, by thread.
    var sleeps: [(tid: Int32, sleep: InterruptedSleep)] = []
}

/// Takes one frozen process under control, asks it what it alone can tell, and lets it go again, frozen as before.
struct ProcessCapture {
    let process: FrozenProcess
    let surveyed: SurveyedProcess
    let deadline: Deadline

    /// - Parameters:
    ///   - filters: where seccomp filters are recorded.
    ///   - twins: where it gets its twin, if it is to have one.
    /// - Throws: the process is as it was then.
    func run(_ filters: inout SeccompFilters, _ twins: inout Twins) throws(Problem) -> CapturedProcess {
        try refuseDispatch()
        try suspendFilters()
        let vdso = surveyed.areas.first { $0.kind == .vdso }?.area.range
        let control = try RemoteControl(
            process, vdso: vdso.map { RemoteAddress($0.lowerBound)..<RemoteAddress($0.upperBound) }, deadline: deadline)
        do throws(Problem) {
            let (answers, futureLocks) = try Processes.urgently { () throws(Problem) in
                let answers = try ask(control)
                let futureLocks = try MemoryTraitsCapture.futureLocks(surveyed)
                try twins.add(control, isSubreaper: answers.attributes.isSubreaper)
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
        /// Of a 32-bit program, as many as `threads`.
        var compat: [CompatThread] = []
    }

    /// One batch for all that concerns the process and its leader; one for each other thread.
    private func ask(_ control: RemoteControl) throws(Problem) -> Answers {
        var batch = Batch()
        let actions = SignalActions.Questions(&batch)
        let timers = Timers.Questions(surveyed.timers, &batch)
        let attributes = ProcessAttributes.Questions(&batch)
        let peculiarities = ProcessAttributes.Peculiarities.Questions(&batch)
        let leader = ThreadAttributes.Questions(&batch)
        let compat = control.isCompat ? CompatThread.Questions(&batch) : nil
        let result = try control.run(batch)
        try result.check()
        var answers = Answers(
            actions: actions.answer(result), timers: timers.answer(result), attributes: attributes.answer(result),
            peculiarities: peculiarities.answer(result), threads: [leader.answer(result)],
            compat: compat.map { [$0.answer(result)] } ?? [])
        for thread in process.threads.dropFirst() {
            var batch = Batch()
            let questions = ThreadAttributes.Questions(&batch)
            let compat = control.isCompat ? CompatThread.Questions(&batch) : nil
            let result = try control.run(batch, on: thread)
            try result.check()
            answers.threads.append(questions.answer(result))
            if let compat { answers.compat.append(compat.answer(result)) }
        }
        return answers
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
        var sleeps: [(tid: Int32, sleep: InterruptedSleep)] = []
        for (thread, attributes) in zip(process.threads, answers.threads) {
            let capture = ThreadCapture(
                thread: thread, process: surveyed.name, memory: control.memory, attributes: attributes,
                actions: answers.actions,
                seen: thread.tid == surveyed.pid ? (surveyed.status, surveyed.stat) : nil)
            var (core, settings) = try capture.core(sharedPending: PendingSignals.set(shared), &filters)
            if thread.tid == process.pid { core.tc = try taskCore(answers, shared) }
            if control.isCompat { try complete(&core, answers, of: thread.tid) }
            cores.append((thread.tid, core))
            if !settings.isUsual { threadSettings.append((thread.tid, settings)) }
            if let sleep = capture.sleep { sleeps.append((thread.tid, sleep)) }
        }
        var settings = answers.peculiarities.settings
        settings.look(at: ProcessDirectory(process.eye), leadsSession: surveyed.stat.session == process.pid)
        return CapturedProcess(
            pid: process.pid, cores: cores, attributes: answers.attributes, settings: settings,
            threadSettings: threadSettings, roundTrips: control.roundTrips, sleeps: sleeps)
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
