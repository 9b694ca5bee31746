public import CLinux
public import Diagnostics
internal import Glibc
public import Linux
internal import SystemPackage

/// One thread that Apus has seized.
///
/// Every use must come from the thread of Apus that seized it: ptrace(2) binds the two. The compiler keeps that rule
/// as far as it can: the type is not Sendable. (It is a class and no noncopyable structure, because trees are arrays
/// of them, and arrays hold copyable elements only.)
public final class Tracee {
    /// The process (thread group) and the thread, as Apus numbers them.
    public let pid: Int32
    public let tid: Int32
    /// The registers at the freeze, an interrupted system call still as the kernel marks it.
    public private(set) var registers = user_regs_struct()
    /// The signal mask at the freeze; bit N-1 for signal N.
    public private(set) var signalMask: UInt64 = 0
    /// The signal that had stopped the process before Apus came (job control), or nil.
    public private(set) var groupStop: Int32?

    /// How it has its system calls dispatched to itself, at the freeze; nil where it has not, and where the kernel cannot tell
    /// (before Linux 6.4).
    public private(set) var dispatch: SystemCallDispatch?
    /// The kernel cannot tell.
    public private(set) var hidesDispatch = false

    /// Its seccomp filters do not judge what Apus has it do (PTRACE_O_SUSPEND_SECCOMP).
    public private(set) var suspendsSeccomp: Bool

    enum State { case running, stopped, gone }
    private(set) var state = State.running
    private var heldStop = false
    /// The mask that Apus has given the thread, where it has.
    private var borrowedMask: UInt64?

    /// Seizes a thread and asks it to stop; `waitUntilStopped` completes the work.
    ///
    /// - Throws: ESRCH where the thread is gone, EPERM where another traces it or Apus lacks the right.
    init(seizing tid: Int32, of pid: Int32, options: Ptrace.Options) throws(Errno) {
        self.pid = pid
        self.tid = tid
        suspendsSeccomp = options.contains(.suspendSeccomp)
        Steps.take()
        try Ptrace.seize(tid, options: options)
        do throws(Errno) {
            try Ptrace.interrupt(tid)
        } catch {
            // It died between the two calls; the wait will tell.
            if error != .noSuchProcess { throw error }
        }
    }

    func markGone() { state = .gone }

    /// Whether the thread has ended.
    public var isGone: Bool { state == .gone }

    /// Looks whether the thread has stopped, and records how it stood. A signal that was just being delivered goes
    /// on its way first, so that none is lost.
    ///
    /// - Returns: whether it is stopped or gone.
    func settle() throws(Errno) -> Bool {
        while state == .running {
            guard let change = try nextChange(blocking: false) else { return false }
            switch change {
            case .ended: state = .gone
            case .stopped(let group):
                groupStop = group
                registers = try Ptrace.registers(tid)
                try endTemporaryMask()
                noteDispatch()
                if let excused = InterruptedCall.excusingTheStop(registers) {
                    registers = excused
                    try Ptrace.setRegisters(tid, registers)
                }
                if let abort = CriticalSection.abortAddress(of: tid, at: registers.rip) {
                    registers.rip = abort
                    try Ptrace.setRegisters(tid, registers)
                }
                state = .stopped
            case .signal(let signal):
                // PTRACE_INTERRUPT is still pending: the thread stops again before it runs an instruction of the
                // handler.
                try Ptrace.resume(tid, signal: signal)
            case .event, .systemCall: try Ptrace.resume(tid)
            }
        }
        return true
    }

    private func noteDispatch() {
        do throws(Errno) { dispatch = try Ptrace.dispatch(tid) } catch {
            hidesDispatch = SystemCallDispatch.isKnown
        }
    }

    /// Notes the thread's mask, and gives it that mask: in sigsuspend(2), ppoll(2) and their like it had another one until
    /// the kernel would have made the call return.
    ///
    /// A signal that only such a call lets in has to find the thread in the call, which it ends. Were Apus killed after it has
    /// changed the registers and before it has changed the mask, the signal would be handled first and the call made again
    /// afterwards, in which the program would sleep through what it was to be woken by. PTRACE_SETSIGMASK ends the call's
    /// claim on the mask; the call sets its mask anew when it is made again.
    private func endTemporaryMask() throws(Errno) {
        signalMask = try Ptrace.signalMask(tid)
        try Ptrace.setSignalMask(tid, signalMask)
    }

    /// Lets the settled thread go on for a moment; it settles anew after `stopAgain`.
    func runOn() throws(Errno) {
        Steps.take()
        try Ptrace.resume(tid)
        state = .running
    }

    func stopAgain() throws(Errno) {
        Steps.take()
        do throws(Errno) { try Ptrace.interrupt(tid) } catch { if error != .noSuchProcess { throw error } }
    }

    private func nextChange(blocking: Bool) throws(Errno) -> Ptrace.Change? {
        do throws(Errno) {
            return try Ptrace.wait(tid, blocking: blocking)
        } catch {
            // An execve(2) by another thread makes this one vanish without a status.
            if error == .noChildProcess || error == .noSuchProcess { return .ended(status: 0) }
            throw error
        }
    }

    /// Lets the stopped thread go on for good, as it was found: whoever borrowed its registers has put them back.
    func release() throws(Errno) {
        guard state == .stopped else { return }
        Steps.take()
        if heldStop { _ = apus_syscall(Int(SYS_kill), UInt(pid), UInt(SIGSTOP), 0, 0, 0, 0) }
        do throws(Errno) { try Ptrace.detach(tid) } catch {
            if error != .noSuchProcess { throw error }
            detachRunning()
        }
        state = .gone
    }

    /// A thread that something went wrong with may still be running: it is stopped, to be let go of.
    private func detachRunning() {
        guard (try? Ptrace.interrupt(tid)) != nil else { return }
        let limit = Deadline(nanoseconds: 500_000_000)
        while !limit.isPast {
            guard let change = try? nextChange(blocking: false) else {
                ChildSignal.wait(atMost: 1_000_000)
                continue
            }
            if case .ended = change { return }
            if (try? Ptrace.detach(tid)) != nil { return }
        }
    }

    // MARK: Borrowing the thread

    /// Gives the stopped thread registers and a signal mask. They cannot be set in one step, and Apus may die between
    /// the two: so a change of mask passes through `wayBack`, registers from which the thread becomes what it was by
    /// itself, whatever its mask, and with a stack pointer on which a signal handler may run. The mask changes only
    /// while the process holds nothing of Apus'; in between, registers replace registers that undo what is held.
    ///
    /// With the mask comes and goes that its system calls are dispatched to itself. That is switched off once the way back is there,
    /// which switches it on again, and on before the way back ends: that way works with it and without
    /// (trampoline-x86_64.S), unless there is no selector. Then, were Apus to die between the two, two calls of that way
    /// would be dispatched to the program.
    func assume(
        _ registers: user_regs_struct, mask: UInt64, through wayBack: user_regs_struct,
        counting: () throws(Problem) -> Void = { () throws(Problem) in }
    ) throws(Problem) {
        if mask != (borrowedMask ?? signalMask) {
            Steps.take()
            // As close as can be to the registers with which the thread counts itself out again.
            try counting()
            try attempt("PTRACE_SETREGSET") { () throws(Errno) in try Ptrace.setRegisters(tid, wayBack) }
            if mask != signalMask { try setDispatch(nil) }
            Steps.take()
            try attempt("PTRACE_SETSIGMASK") { () throws(Errno) in try Ptrace.setSignalMask(tid, mask) }
            borrowedMask = mask
            if mask == signalMask { try setDispatch(dispatch) }
        }
        Steps.take()
        try attempt("PTRACE_SETREGSET") { () throws(Errno) in try Ptrace.setRegisters(tid, registers) }
    }

    private func setDispatch(_ new: SystemCallDispatch?) throws(Problem) {
        guard dispatch != nil else { return }
        Steps.take()
        try attempt("PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG") { () throws(Errno) in try Ptrace.setDispatch(tid, new) }
    }

    /// The registers of this moment.
    func currentRegisters() throws(Problem) -> user_regs_struct {
        try attempt("PTRACE_GETREGSET") { () throws(Errno) in try Ptrace.registers(tid) }
    }

    func resume(_ how: Ptrace.Resumption) throws(Problem) {
        Steps.take()
        try attempt("PTRACE_CONT") { () throws(Errno) in try Ptrace.resume(tid, how) }
    }

    /// Stops the running thread again, wherever it is.
    func interrupt(_ deadline: Deadline) throws(Problem) {
        try askToStop()
        try waitForStop(deadline)
    }

    /// The first half of `interrupt`: `waitForStop` is the other.
    func askToStop() throws(Problem) {
        Steps.take()
        try attempt("PTRACE_INTERRUPT") { () throws(Errno) in try Ptrace.interrupt(tid) }
    }

    /// From a stop at a system call's entry or exit to one that lies within the handling of signals, where the kernel looks
    /// for an interrupted system call to restart; no instruction of user mode runs in between. `waitForStop` has to follow.
    func askToStopBeforeUserMode() throws(Problem) {
        try askToStop()
        try resume(.run)
    }

    /// Lets a stopped child of vfork(2) go on until it has called execve(2) or has ended, and asks it to stop again:
    /// `settle` completes that.
    func runUntilExec(_ deadline: Deadline) throws(Problem) {
        guard state == .stopped else { return }
        try attempt("PTRACE_SETOPTIONS") { () throws(Errno) in try Ptrace.setOptions(tid, [.sysgood, .traceExec]) }
        suspendsSeccomp = false
        try resume(.run)
        while true {
            switch try waitForChange(deadline) {
            case .event(Int32(APUS_PTRACE_EVENT_EXEC)):
                try attempt("PTRACE_INTERRUPT") { () throws(Errno) in try Ptrace.interrupt(tid) }
                try resume(.run)
                state = .running
                return
            case .signal(let signal):
                try attempt("PTRACE_CONT") { () throws(Errno) in try Ptrace.resume(tid, signal: signal) }
            case .stopped, .systemCall, .event: try resume(.run)
            case .ended:
                state = .gone
                return
            }
        }
    }

    /// Waits for the stop that PTRACE_INTERRUPT asked for, and lets pass what comes before it.
    func waitForStop(_ deadline: Deadline) throws(Problem) {
        while true {
            switch try waitForChange(deadline) {
            case .stopped: return
            case .systemCall, .event: try resume(.run)
            case .signal(let signal):
                try hold(signal)
                try resume(.run)
            case .ended(let status): throw died(status)
            }
        }
    }

    /// Waits for the next stop at a system call's entry or exit.
    func waitForSystemCallStop(_ deadline: Deadline) throws(Problem) {
        while true {
            switch try waitForChange(deadline) {
            case .systemCall: return
            case .stopped, .event: try resume(.toSystemCall)
            case .signal(let signal):
                try hold(signal)
                try resume(.toSystemCall)
            case .ended(let status): throw died(status)
            }
        }
    }

    func waitForChange(_ deadline: Deadline) throws(Problem) -> Ptrace.Change {
        while true {
            let change = try attempt("wait4") { () throws(Errno) in try nextChange(blocking: false) }
            if let change { return change }
            if deadline.isOver { throw TreeFreezer.timeout(pid: pid, tid: tid) }
            ChildSignal.wait(atMost: deadline.remaining(atMost: 5_000_000))
        }
    }

    /// Looks, without waiting, whether something happened to the running thread that has to be dealt with.
    func dealWithInterruption() throws(Problem) {
        guard let change = try attempt("wait4", { () throws(Errno) in try nextChange(blocking: false) }) else { return }
        switch change {
        case .ended(let status): throw died(status)
        case .signal(let signal):
            try hold(signal)
            try resume(.run)
        case .stopped, .event, .systemCall: try resume(.run)
        }
    }

    /// Keeps a signal that reached the thread while Apus borrowed it. All but SIGSTOP are blocked then; it is sent
    /// again when Apus lets go.
    private func hold(_ signal: Int32) throws(Problem) {
        guard signal == SIGSTOP else {
            throw Problem(
                .tracingFailed, "thread \(tid) received signal \(signal) from a call that Apus had it make",
                object: .init(pid: pid), remedy: "Report this as a bug of Apus; the process itself is intact")
        }
        heldStop = true
    }

    private func died(_ status: Int32) -> Problem {
        state = .gone
        return Problem(
            .targetDied, "it ended while Apus worked on it (wait status 0x\(String(status, radix: 16)))",
            object: .init(pid: pid),
            remedy: "Look in the kernel log whether it was killed (out of memory?), and start it anew")
    }

    private func attempt<R>(_ what: String, _ body: () throws(Errno) -> R) throws(Problem) -> R {
        do throws(Errno) {
            return try body()
        } catch {
            throw Problem(
                .tracingFailed, "thread \(tid) cannot be controlled", object: .init(pid: pid),
                cause: .init(error, attempted: "\(what) of thread \(tid)"),
                remedy: "If the process has just ended there is nothing left to do; otherwise try again")
        }
    }
}

@available(*, unavailable)
extension Tracee: Sendable {}

extension Problem.Code {
    public static let targetDied: Self = "target-died"
    public static let tracingFailed: Self = "tracing-failed"
}

/// Waiting for something to happen to a tracee, without missing it and without turning in circles.
public enum ChildSignal {
    /// Keeps SIGCHLD pending in the calling thread, so that `wait` can wait for it. Called once, before the first
    /// tracee.
    public static func prepare() {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGCHLD)
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Returns when a child or tracee has changed state, or after so many nanoseconds.
    public static func wait(atMost nanoseconds: UInt64) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGCHLD)
        var limit = timespec(tv_sec: 0, tv_nsec: Int(min(nanoseconds, 999_999_999)))
        _ = unsafe sigtimedwait(&set, nil, &limit)
    }
}

extension Tracee {
    /// Has the kernel kill the process should Apus end before it (PTRACE_O_EXITKILL).
    func dieWithTracer() {
        // One that has died meanwhile needs it no more.
        try? Ptrace.setOptions(tid, [.sysgood, .exitKill])
    }

    /// Waits until the killed thread is gone, so that its parent can be told.
    func waitForEnd(_ deadline: Deadline) {
        while state != .gone && !deadline.isPast {
            guard let change = try? waitForChange(deadline) else { return }
            if case .ended = change { markGone() }
        }
    }
}
