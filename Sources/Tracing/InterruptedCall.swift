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
    /// Only where the call had already been gone on with by that record (restart_syscall(2)), which call it was is not
    /// known any more, and it ends with EINTR.
    public static func portable(_ registers: user_regs_struct) -> user_regs_struct {
        settled(
            registers,
            blocked: { registers in
                if registers.orig_rax == restartSyscall(registers) {
                    registers.rax = UInt64(bitPattern: interrupted)
                } else {
                    registers.rax = registers.orig_rax
                    registers.rip -= 2
                }
            })
    }

    /// Calls that end with EINTR when their thread is only stopped, whatever has stopped it (signal(7), "Interruption
    /// of system calls and library functions by stop signals"): rt_sigtimedwait, epoll_wait, epoll_pwait,
    /// epoll_pwait2, semop, semtimedop, io_getevents, io_pgetevents.
    private static let endingWhenStopped: Set<UInt64> = [128, 232, 281, 441, 65, 220, 208, 333]

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
