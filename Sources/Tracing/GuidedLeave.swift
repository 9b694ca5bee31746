internal import CLinux
public import Diagnostics
internal import Glibc
public import Linux
internal import SystemPackage

/// Sees threads of a rebuilt process out of the trampoline one by one, to where they are about to run the first
/// instruction of the program: for a process that is to be stopped there, and for one under seccomp, whose filters
/// must not judge the calls of the trampoline.
public final class GuidedLeave {
    let pid: Int32
    private let threads: [Int32]
    /// What is left of waits to go on with, by thread.
    public var waits: [Int32: RestOfWait] = [:]

    /// How threads have their system calls dispatched to themselves, by thread. None of the trampoline may be, so that comes last
    /// of all, from outside.
    public var dispatches: [Int32: SystemCallDispatch] = [:]

    /// The process stops itself on the way, and is to stay so.
    public var staysStopped = false
    private var hasStopped = false

    /// How long threads that only have to make a few system calls are waited for, in nanoseconds.
    private static let patience: UInt64 = 10_000_000_000

    /// Seizes threads; they go on. From here on their seccomp filters are suspended, if that is asked for.
    public init(pid: Int32, threads: [Int32], suspendsSeccomp: Bool) throws(Problem) {
        self.pid = pid
        self.threads = threads
        for tid in threads {
            Steps.take()
            do throws(Errno) {
                try Ptrace.seize(tid, options: suspendsSeccomp ? [.sysgood, .suspendSeccomp] : .sysgood)
            } catch {
                throw failure(tid, error)
            }
        }
    }

    private func failure(_ tid: Int32, _ error: Errno) -> Problem {
        Problem(
            .tracingFailed, "thread \(tid) cannot be held", object: .init(pid: pid),
            cause: .init(error, attempted: "ptrace(PTRACE_SEIZE, \(tid))"),
            remedy: "Run Apus as root, with CAP_SYS_ADMIN where seccomp filters are restored")
    }

    /// Stops the threads, which wait on their lifeline, so that none leaves alone when that is cut.
    public func hold() throws(Problem) {
        let limit = Deadline(nanoseconds: Self.patience)
        for tid in threads {
            Steps.take()
            do throws(Errno) {
                try Ptrace.interrupt(tid)
                while true {
                    let change = try nextChange(of: tid, limit)
                    if case .stopped = change { break }
                    if case .ended = change { throw .noSuchProcess }
                    try Ptrace.resume(tid)
                }
            } catch {
                throw failure(tid, error)
            }
            if let dispatch = dispatches[tid] { try tryOut(dispatch, tid) }
        }
    }

    /// What the kernel refuses it shall refuse now, when nothing has been released.
    private func tryOut(_ dispatch: SystemCallDispatch, _ tid: Int32) throws(Problem) {
        do throws(Errno) {
            try Ptrace.setDispatch(tid, dispatch)
            try Ptrace.setDispatch(tid, nil)
        } catch {
            throw Problem(
                .tracingFailed, "the system calls of thread \(tid) cannot be dispatched to itself",
                object: .init(pid: pid),
                cause: .init(error, attempted: "ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, \(tid))"),
                remedy: "The kernel must be 6.4 or later, 6.17 for a range whose own calls are dispatched")
        }
    }

    /// - Throws: ETIMEDOUT where nothing happens in time.
    func nextChange(of tid: Int32, _ limit: Deadline) throws(Errno) -> Ptrace.Change {
        while true {
            if let change = try Ptrace.wait(tid, blocking: false) { return change }
            if limit.isPast { throw .timedOut }
            ChildSignal.wait(atMost: limit.remaining(atMost: 5_000_000))
        }
    }

    /// After the lifeline was cut: leads every thread out, and lets the process run or leaves it stopped.
    ///
    /// A thread that is lost on the way (SIGKILL), or that something else keeps from moving, is no error: what happens
    /// after the commit happens to a process that runs.
    public func leave() {
        let limit = Deadline(nanoseconds: Self.patience)
        for tid in threads { try? Ptrace.resume(tid, .toSystemCall) }
        for tid in threads { lead(tid, limit) }
        // Tried before: only a thread that has been lost refuses it.
        for (tid, dispatch) in dispatches { try? Ptrace.setDispatch(tid, dispatch) }
        for tid in threads { if let wait = waits[tid] { goOnWaiting(tid, wait, limit) } }
        Steps.take()
        // The kernel takes no notice of SIGTSTP and its like where a process group has turned out to be orphaned.
        if staysStopped, !hasStopped { try? Processes.kill(pid, signal: SIGSTOP) }
        // A process that stopped itself on the way is still in that group stop, and falls back into it now.
        for tid in threads { try? Ptrace.detach(tid) }
    }

    private func lead(_ tid: Int32, _ limit: Deadline) {
        var isLeaving = false
        while true {
            guard let change = try? nextChange(of: tid, limit) else { return }
            switch change {
            case .ended: return
            case .systemCall:
                // The entry into rt_sigreturn(2), then its exit.
                if isLeaving { return }
                // That of 32-bit programs is number 173.
                let number = (try? Ptrace.registers(tid))?.orig_rax
                isLeaving = number == UInt64(SYS_rt_sigreturn) || number == 173
            case .signal(let signal):
                // The signal that the task sent itself, to be stopped also if Apus had died by now. It takes effect;
                // ptrace moves the thread all the same.
                try? Ptrace.resume(tid, .toSystemCall, signal: signal)
                continue
            case .stopped(let group): if group != nil { hasStopped = true }
            case .event: break
            }
            try? Ptrace.resume(tid, .toSystemCall)
        }
    }
}

@available(*, unavailable)
extension GuidedLeave: Sendable {}
