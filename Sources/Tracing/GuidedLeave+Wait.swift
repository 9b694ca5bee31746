internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// What is left of a wait with a time limit.
public struct RestOfWait: Sendable {
    /// In nanoseconds.
    var left: UInt64
    /// Where in the process there is room for 16 bytes that nobody needs any more.
    var room: RemoteAddress

    public init(left: UInt64, room: RemoteAddress) {
        self.left = left
        self.room = room
    }
}

/// How a thread that was dumped in a wait with a time limit goes on with what is left of it.
///
/// The kernel keeps a record of an interrupted nanosleep(2), clock_nanosleep(2), poll(2) or futex(2), by which it goes on with it
/// (restart_syscall(2)). It makes such a record when the call is interrupted: so the thread makes the call that it is about to
/// make again, with what is left for its limit, is interrupted at once, and gets its own registers back, marked as the kernel
/// marks an interrupted call. What follows is what follows any interruption: the wait goes on, or a handler ends it with EINTR.
///
/// The call differs from the program's own in the one register that holds the limit or its place. Were Apus killed in these
/// microseconds, the wait would still last as long as it should, and the program find its own register changed by the call.
extension GuidedLeave {
    /// - Parameter tid: stopped at the exit of rt_sigreturn(2). Where anything else happens than expected, the wait begins
    ///   anew: it may last longer, never shorter.
    func goOnWaiting(_ tid: Int32, _ wait: RestOfWait, _ limit: Deadline) {
        guard let own = try? Ptrace.registers(tid), let asking = Self.asking(own, wait),
            (try? ProcessMemory(pid: pid).write(Self.time(wait.left), at: wait.room)) != nil
        else { return }
        do throws(Errno) {
            Steps.take()
            try Ptrace.setRegisters(tid, asking)
            Steps.take()
            try Ptrace.resume(tid, .toSystemCall)
            guard try next(tid, own, limit) else { return begin(anew: tid, own) }
            // It is at the entry of the call. The interruption is there before it waits.
            try Ptrace.interrupt(tid)
            try Ptrace.resume(tid, .toSystemCall)
            guard try next(tid, own, limit) else { return begin(anew: tid, own) }
            let result = Int64(bitPattern: try Ptrace.registers(tid).rax)
            guard Self.counts(result, of: own.rax) else { return begin(anew: tid, own) }
            var waiting = own
            waiting.orig_rax = own.rax
            waiting.rax = UInt64(bitPattern: result)
            waiting.rip += 2
            Steps.take()
            try Ptrace.setRegisters(tid, waiting)
            Steps.take()
            // Each stop uses an interruption up. Within the handling of signals the kernel looks for calls to restart.
            try Ptrace.interrupt(tid)
            try Ptrace.resume(tid)
            // Signals that are delivered on the way end the wait as they end any.
            while case .signal(let signal) = try nextChange(of: tid, limit) { try Ptrace.resume(tid, signal: signal) }
        } catch {
            begin(anew: tid, own)
        }
    }

    private static let (poll, nanosleep, futex, clockNanosleep): (UInt64, UInt64, UInt64, UInt64) = (
        UInt64(SYS_poll), UInt64(SYS_nanosleep), UInt64(SYS_futex), UInt64(SYS_clock_nanosleep)
    )

    /// The registers for the same call with what is left; nil for calls that cannot go on.
    private static func asking(_ own: user_regs_struct, _ wait: RestOfWait) -> user_regs_struct? {
        var asking = own
        asking.orig_rax = UInt64.max
        switch own.rax {
        case poll:
            // Rounded up, and no longer than the program itself asks for.
            let milliseconds = wait.left / 1_000_000 + (wait.left % 1_000_000 == 0 ? 0 : 1)
            let asked = Int32(truncatingIfNeeded: own.rdx)
            guard asked > 0 else { return nil }
            asking.rdx = min(milliseconds, UInt64(asked))
        case nanosleep: asking.rdi = wait.room.raw
        case clockNanosleep:
            // TIMER_ABSTIME has no rest.
            guard own.rsi & 1 == 0 else { return nil }
            asking.rdx = wait.room.raw
        case futex: asking.r10 = wait.room.raw
        case _: return nil
        }
        return asking
    }

    /// Whether a result is one to go on with. Beside the interruption that is what has ended the wait meanwhile: time, an
    /// event, somebody who woke it or has changed the word.
    private static func counts(_ result: Int64, of call: UInt64) -> Bool {
        let (interrupted, again, timedOut): (Int64, Int64, Int64) = (-516, -11, -110)  // ERESTART_RESTARTBLOCK
        if result == interrupted || result == 0 { return true }
        return call == poll ? result > 0 : call == futex && (result == again || result == timedOut)
    }

    private static func time(_ nanoseconds: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: nanoseconds / 1_000_000_000)
        bytes.append(littleEndian: nanoseconds % 1_000_000_000)
        return bytes
    }

    /// Whether the next thing that happens is a system call's entry or exit. A signal that is delivered instead finds the
    /// program's own registers, and the thread is let go with it.
    private func next(_ tid: Int32, _ own: user_regs_struct, _ limit: Deadline) throws(Errno) -> Bool {
        switch try nextChange(of: tid, limit) {
        case .systemCall: return true
        case .signal(let signal):
            begin(anew: tid, own)
            try Ptrace.detach(tid, signal: signal)
            return false
        case .ended, .stopped, .event: return false
        }
    }

    /// Lets the call be made again as it was first made.
    private func begin(anew tid: Int32, _ own: user_regs_struct) {
        try? Ptrace.setRegisters(tid, own)
    }
}
