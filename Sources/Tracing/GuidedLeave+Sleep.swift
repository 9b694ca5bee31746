internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// What is left of a sleep.
public struct RestOfSleep: Sendable {
    /// In nanoseconds.
    var left: UInt64
    /// CLOCK_*.
    var clock: Int32
    /// Where in the process there is room for 16 bytes that nobody needs any more.
    var room: RemoteAddress

    public init(left: UInt64, clock: Int32, room: RemoteAddress) {
        self.left = left
        self.clock = clock
        self.room = room
    }
}

/// How a thread that was dumped asleep goes on sleeping.
///
/// The kernel keeps a record of an interrupted sleep, by which it goes on with it (restart_syscall(2)). It makes such a
/// record when a sleep is interrupted: so the thread is made to fall asleep for the time that is left, in the place of the call
/// that it is about to make again, is interrupted at once, and gets its own registers back, marked as the kernel marks an
/// interrupted call. What follows is what follows any interruption: the sleep goes on, or a handler ends it with EINTR.
extension GuidedLeave {
    /// - Parameter tid: stopped at the exit of rt_sigreturn(2). Where anything else happens than expected, the sleep begins
    ///   anew: it may last longer, never shorter.
    func fallAsleep(_ tid: Int32, _ sleep: RestOfSleep, _ limit: Deadline) {
        guard let own = try? Ptrace.registers(tid), own.rax == Self.nanosleep || own.rax == Self.clockNanosleep,
            (try? ProcessMemory(pid: pid).write(Self.time(sleep.left), at: sleep.room)) != nil
        else { return }
        do throws(Errno) {
            Steps.take()
            try Ptrace.setRegisters(tid, Self.asking(own, sleep))
            Steps.take()
            try Ptrace.resume(tid, .toSystemCall)
            guard try next(tid, own, limit) else { return begin(anew: tid, own) }
            // It is at the entry of the call. The interruption is there before it sleeps.
            try Ptrace.interrupt(tid)
            try Ptrace.resume(tid, .toSystemCall)
            guard try next(tid, own, limit) else { return begin(anew: tid, own) }
            let result = Int64(bitPattern: try Ptrace.registers(tid).rax)
            let interrupted: Int64 = -516  // ERESTART_RESTARTBLOCK
            guard result == 0 || result == interrupted else { return begin(anew: tid, own) }
            var asleep = own
            asleep.orig_rax = own.rax
            asleep.rax = UInt64(bitPattern: result)
            asleep.rip += 2
            Steps.take()
            try Ptrace.setRegisters(tid, asleep)
            Steps.take()
            // Each stop uses an interruption up. Within the handling of signals the kernel looks for calls to restart.
            try Ptrace.interrupt(tid)
            try Ptrace.resume(tid)
            // Signals that are delivered on the way end the sleep as they end any.
            while case .signal(let signal) = try nextChange(of: tid, limit) { try Ptrace.resume(tid, signal: signal) }
        } catch {
            begin(anew: tid, own)
        }
    }

    private static let (nanosleep, clockNanosleep) = (UInt64(SYS_nanosleep), UInt64(SYS_clock_nanosleep))

    /// The registers for clock_nanosleep(2) of what is left; the place for the rest stays the program's.
    private static func asking(_ own: user_regs_struct, _ sleep: RestOfSleep) -> user_regs_struct {
        var asking = own
        asking.rax = clockNanosleep
        asking.rdi = UInt64(UInt32(bitPattern: sleep.clock))
        asking.rsi = 0
        asking.rdx = sleep.room.raw
        asking.r10 = own.rax == nanosleep ? own.rsi : own.r10
        asking.orig_rax = UInt64.max
        return asking
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
