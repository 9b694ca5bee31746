internal import CLinux
internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// The image of one thread, put together from what it told itself and what can be seen from outside.
struct ThreadCapture {
    let thread: Tracee
    let process: String
    /// The thread whose personality (personality(2)) is that of the process in the images.
    let eye: Int32
    let memory: ProcessMemory
    let attributes: ThreadAttributes
    let status: TaskStatus
    let actions: SignalActions
    /// What the survey of the still tree has read of this very thread already; nil for all but one of a process.
    let seen: TaskStat?

    /// The core image, of the leader without its task-wide part, and what has no place in it.
    ///
    /// - Parameter filters: where seccomp filters are recorded.
    func core(sharedPending: UInt64, _ filters: inout SeccompFilters) throws(Problem) -> (CoreEntry, ThreadSettings) {
        do {
            let own = try Ptrace.pendingSignals(thread.tid, in: .thread)
            let pending = PendingSignals.set(own) | sharedPending
            let ending = actions.interrupts(pending: pending, blocked: thread.signalMask)
            let registers = Registers.portable(thread.registers, ending: ending, continued: call)
            let rseq = RestartableSequence.entry(of: thread.tid)
            var entry = CoreEntry()
            entry.mtype = .x8664
            entry.threadInfo.clearTidAddr_p = attributes.clearAddress
            entry.threadInfo.gpregs = Registers.entry(registers)
            let area = try Ptrace.extendedState(thread.tid)
            entry.threadInfo.fpregs = ExtendedState.message(area)
            entry.threadInfo.tls = Registers.unusedSegments
            var settings = attributes.settings
            settings.tiles = TileRegisters(area)
            settings.dispatch = thread.dispatch
            entry.threadCore = try threadCore(own, rseq, &filters, &settings)
            try checkExtendedState(entry.threadInfo.fpregs)
            return (entry, settings)
        } catch let error as Problem {
            throw error
        } catch let error as ProcfsError {
            throw unreadable(error.errno ?? .ioError, "read of \(error.file)")
        } catch let error as Errno {
            throw unreadable(error, "look at thread \(thread.tid)")
        } catch {
            throw unreadable(.ioError, "look at thread \(thread.tid)")
        }
    }

    /// The system call that the freeze has interrupted, also one that it was not the first to interrupt; nil where that
    /// cannot be told.
    private var call: UInt64? { InterruptedCall.call(thread.registers, code: code) }

    /// The instructions that made it, as far as they tell which it was.
    private var code: [UInt8] {
        (try? memory.read(RemoteAddress(thread.registers.rip &- 7), count: 7)) ?? []
    }

    /// What is left of a wait.
    ///
    /// - Parameter waited: for how long it had lasted, in nanoseconds, where that is known.
    func wait(_ waited: UInt64?) -> InterruptedWait? {
        // Those of 32-bit programs have other numbers, and other times.
        guard !thread.registers.isCompat, let call else { return nil }
        // The restored thread is in restart_syscall(2). Where the code would not tell a later dump which call that is,
        // the wait rather begins anew.
        let isTold = InterruptedCall.recordedCall(in: code) == call
        return InterruptedWait(thread.registers, call: call, waited: isTold ? waited : nil, memory)
    }

    private func unreadable(_ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .objectUnreadable, "the state of thread \(thread.tid) cannot be read",
            object: .init(pid: thread.pid, process: process), cause: .init(error, attempted: attempted),
            remedy: "Run Apus as root")
    }

    private func threadCore(
        _ pending: [[UInt8]], _ rseq: RseqEntry?, _ filters: inout SeccompFilters, _ settings: inout ThreadSettings
    ) throws -> ThreadCoreEntry {
        let directory = ProcessDirectory(thread.pid, thread: thread.tid)
        let stat = try seen ?? directory.stat()
        let scheduling = try Processes.scheduling(of: thread.tid)
        settings.look(at: thread.tid, scheduling, flags: stat.flags)
        if thread.tid != eye {
            let own = try directory.personality()
            if try own != ProcessDirectory(eye).personality() { settings.personality = own }
        }
        let robust = try Processes.robustList(of: thread.tid)
        var entry = ThreadCoreEntry()
        entry.futexRla = robust.address
        entry.futexRlaLen = UInt32(robust.length)
        entry.schedNice = try Processes.nice(of: thread.tid)
        entry.schedPolicy = scheduling.policy
        let isRealTime = scheduling.policy == 1 || scheduling.policy == 2
        if isRealTime { entry.schedPrio = scheduling.priority }
        if thread.tid != thread.pid { entry.blkSigset = thread.signalMask }
        entry.sas = attributes.signalStack
        if attributes.deathSignal != 0 { entry.pdeathSig = UInt32(bitPattern: attributes.deathSignal) }
        entry.signalsP = PendingSignals.entry(pending)
        entry.creds = Credentials.entry(status, secureBits: attributes.secureBits)
        if let module = SecurityModule.ofHost {
            if let label = module.label(of: directory) { entry.creds.lsmProfile = label }
            if let label = module.socketLabel(of: directory) { entry.creds.lsmSockcreate = label }
        }
        entry.commBytes = stat.name
        if let rseq { entry.rseqEntry = rseq }
        entry.cgSet = 1
        try filters.capture(thread.tid, of: thread.pid, mode: status.seccompMode ?? 0, into: &entry)
        return entry
    }

    /// Registers that the processor has and the images have no place for must not be in use.
    private func checkExtendedState(_ entry: UserX86FpregsEntry) throws(Problem) {
        let known = ExtendedStateLayout.Component.allCases.reduce(UInt64(3)) { $0 | 1 << UInt64($1.rawValue) }
        let unknown = entry.xsave.xstateBv & ~known
        guard unknown != 0 else { return }
        throw Problem(
            .unsupported,
            "thread \(thread.tid) uses registers that images have no place for (XSAVE components 0x"
                + String(unknown, radix: 16) + ")",
            object: .init(pid: thread.pid, process: process), remedy: "Run the program without what uses them")
    }
}
