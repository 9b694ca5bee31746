public import CLinux
public import Images
internal import Tracing

/// The general registers of a thread.
public enum Registers {
    /// The message for registers that user mode may go on with.
    public static func entry(_ r: user_regs_struct) -> UserX86RegsEntry {
        var entry = UserX86RegsEntry()
        entry.r15 = r.r15
        entry.r14 = r.r14
        entry.r13 = r.r13
        entry.r12 = r.r12
        entry.bp = r.rbp
        entry.bx = r.rbx
        entry.r11 = r.r11
        entry.r10 = r.r10
        entry.r9 = r.r9
        entry.r8 = r.r8
        entry.ax = r.rax
        entry.cx = r.rcx
        entry.dx = r.rdx
        entry.si = r.rsi
        entry.di = r.rdi
        entry.origAx = r.orig_rax
        entry.ip = r.rip
        entry.cs = r.cs
        entry.flags = r.eflags
        entry.sp = r.rsp
        entry.ss = r.ss
        entry.fsBase = r.fs_base
        entry.gsBase = r.gs_base
        entry.ds = r.ds
        entry.es = r.es
        entry.fs = r.fs
        entry.gs = r.gs
        entry.mode = r.isCompat ? .compat : .native
        return entry
    }

    /// The three segments of thread-local storage in the descriptor table, which 64-bit programs leave unused: their
    /// base is a register.
    public static let unusedSegments: [UserDescT] = ([12, 13, 14] as [UInt32]).map { number in
        var segment = UserDescT()
        segment.entryNumber = number
        segment.baseAddr = 0
        segment.limit = 0
        segment.seg32Bit = false
        segment.contentsH = false
        segment.contentsL = false
        segment.readExecOnly = true
        segment.limitInPages = false
        segment.segNotPresent = true
        segment.usable = false
        return segment
    }

    /// The registers with which a thread goes on elsewhere.
    ///
    /// An interrupted system call is made again. Where a signal waits for the thread that the program handles and does
    /// not block, the kernel would have had its handler run first, and a call that such a handler ends must end with
    /// EINTR: a pause(2) made again after the handler could wait for ever (signal(7), "Interruption of system calls").
    ///
    /// - Parameters:
    ///   - ending: whether a signal waits whose handler ends calls: `nil` for no signal, false for one with SA_RESTART.
    ///   - continued: the call that had been gone on with once before, where that is known.
    public static func portable(
        _ registers: user_regs_struct, ending: Bool?, continued: UInt64? = nil
    ) -> user_regs_struct {
        guard InterruptedCall.isPending(registers), let ending else {
            return InterruptedCall.portable(registers, continued: continued)
        }
        // ERESTARTSYS, ERESTARTNOHAND, ERESTART_RESTARTBLOCK
        let (restartSys, restartNoHand, restartBlock): (Int64, Int64, Int64) = (-512, -514, -516)
        let result = Int64(bitPattern: registers.rax)
        guard result == restartNoHand || result == restartBlock || (result == restartSys && ending) else {
            return InterruptedCall.portable(registers, continued: continued)
        }
        var settled = registers
        settled.rax = UInt64(bitPattern: -4)  // EINTR
        return settled
    }
}
