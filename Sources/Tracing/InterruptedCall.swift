public import CLinux

/// A system call that the freeze interrupted, and how the program is to find it.
///
/// The kernel marks such a call by results that programs never see (-ERESTARTSYS and its kin, include/linux/errno.h)
/// and puts the registers right on the way back to user mode. What Apus writes into an image, or lets a thread resume
/// with, has to be right already.
public enum InterruptedCall {
    private static let restartSys: Int64 = -512
    private static let restartNoIntr: Int64 = -513
    private static let restartNoHand: Int64 = -514
    private static let restartBlock: Int64 = -516
    private static let interrupted: Int64 = -4
    /// restart_syscall(2)
    private static func restartSyscall(_ registers: user_regs_struct) -> UInt64 { registers.isCompat ? 0 : 219 }

    /// Whether the thread was stopped inside a system call that the kernel would restart.
    public static func isPending(_ registers: user_regs_struct) -> Bool {
        guard Int64(bitPattern: registers.orig_rax) >= 0 else { return false }
        return [restartSys, restartNoIntr, restartNoHand, restartBlock].contains(Int64(bitPattern: registers.rax))
    }

    /// The registers with which the same thread of the same kernel goes on as if it had not been interrupted.
    public static func resumable(_ registers: user_regs_struct) -> user_regs_struct {
        settled(
            registers,
            blocked: { registers in
                registers.rax = restartSyscall(registers)
                registers.rip -= 2
            })
    }

    /// The registers for an image: the call is made again.
    ///
    /// For a call with a time limit the kernel keeps a record of how to go on, which cannot be carried: the limit
    /// begins anew. A program that knows no signals expects no EINTR, and a sleep may last longer but never shorter.
    /// Only where the call had already been gone on with by that record (restart_syscall(2)), and the program's code does
    /// not say which call it was, it ends with EINTR.
    ///
    /// - Parameter continued: which call it was that had been gone on with, where that is known.
    public static func portable(_ registers: user_regs_struct, continued: UInt64? = nil) -> user_regs_struct {
        settled(
            registers,
            blocked: { registers in
                let number = registers.orig_rax == restartSyscall(registers) ? continued : registers.orig_rax
                if let number {
                    registers.rax = number
                    registers.rip -= 2
                } else {
                    registers.rax = UInt64(bitPattern: interrupted)
                }
            })
    }

    /// Calls of which the kernel keeps a record: poll, nanosleep, futex, clock_nanosleep.
    private static let recorded: Set<UInt64> = [7, 35, 202, 230]

    /// The call that a thread was in, also where it had been gone on with by restart_syscall(2): then the instruction
    /// before the call tells, which puts its number into a register (`mov $N, %eax`), as C libraries write it.
    ///
    /// - Parameter code: the seven bytes before the instruction pointer, ending with those of `syscall`.
    /// - Returns: nil where it cannot be told.
    public static func call(_ registers: user_regs_struct, code: [UInt8]) -> UInt64? {
        guard registers.orig_rax == restartSyscall(registers) else { return registers.orig_rax }
        return recordedCall(in: code)
    }

    /// The call that is made by an instruction before which another puts its number into a register, where the kernel
    /// keeps a record of it when it is interrupted.
    public static func recordedCall(in code: [UInt8]) -> UInt64? {
        guard code.count == 7, code[0] == 0xb8, code[5] == 0x0f, code[6] == 0x05 else { return nil }
        let number = UInt64(code.littleEndian(UInt32.self, at: 1))
        return recorded.contains(number) ? number : nil
    }

    /// Calls that end with EINTR when their thread is only stopped, whatever has stopped it (signal(7), "Interruption
    /// of system calls and library functions by stop signals"): rt_sigtimedwait, epoll_wait, epoll_pwait,
    /// epoll_pwait2, semop, semtimedop, io_getevents, io_pgetevents, io_uring_enter (which says so only where it has submitted
    /// nothing); of sockets with a time limit (SO_RCVTIMEO, SO_SNDTIMEO)
    /// connect, accept, sendto, recvfrom, sendmsg, recvmsg, accept4, recvmmsg, sendmmsg.
    private static let endingWhenStopped: Set<UInt64> = [
        128, 232, 281, 441, 65, 220, 208, 333, 426, 42, 43, 44, 45, 46, 47, 288, 299, 307,
    ]

    /// The same calls of 32-bit programs, and those of sockets with a time limit: connect, accept4, sendto, sendmsg,
    /// recvfrom, recvmsg, recvmmsg, sendmmsg. Within ipc(2) and socketcall(2), which say no more, semop and all of these.
    private static let endingWhenStoppedCompat: Set<UInt64> = [
        177, 421, 256, 319, 441, 420, 247, 385, 416, 362, 364, 369, 370, 371, 372, 337, 417, 345, 117, 102,
    ]

    /// The registers with which the kernel makes such a call again, unless a signal with a handler is what ended it:
    /// nil for all other calls.
    ///
    /// The result becomes one by which the kernel marks a call to be made again where no handler runs, so that it has
    /// the last word itself when the thread goes on.
    static func excusingTheStop(_ registers: user_regs_struct) -> user_regs_struct? {
        let ending = registers.isCompat ? endingWhenStoppedCompat : endingWhenStopped
        guard ending.contains(registers.orig_rax), Int64(bitPattern: registers.rax) == interrupted else {
            return nil
        }
        var excused = registers
        excused.rax = UInt64(bitPattern: restartNoHand)
        return excused
    }

    private static func settled(
        _ registers: user_regs_struct, blocked: (inout user_regs_struct) -> Void
    ) -> user_regs_struct {
        guard isPending(registers) else { return registers }
        var settled = registers
        if Int64(bitPattern: registers.rax) == restartBlock {
            blocked(&settled)
        } else {
            settled.rax = registers.orig_rax
            // Back to the two bytes of the syscall instruction.
            settled.rip -= 2
        }
        return settled
    }
}

extension user_regs_struct {
    /// Whether they are those of a thread in 32-bit mode (__USER32_CS of asm/segment.h).
    public var isCompat: Bool { cs == 0x23 }
}
