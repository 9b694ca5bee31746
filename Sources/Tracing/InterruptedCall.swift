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
    private static let restartSyscall: UInt64 = 219

    /// Whether the thread was stopped inside a system call that the kernel would restart.
    public static func isPending(_ registers: user_regs_struct) -> Bool {
        guard Int64(bitPattern: registers.orig_rax) >= 0 else { return false }
        return [restartSys, restartNoIntr, restartNoHand, restartBlock].contains(Int64(bitPattern: registers.rax))
    }

    /// The registers with which the same thread of the same kernel goes on as if it had not been interrupted.
    public static func resumable(_ registers: user_regs_struct) -> user_regs_struct {
        settled(registers, blocked: { registers in
            registers.rax = restartSyscall
            registers.rip -= 2
        })
    }

    /// The registers for an image. The kernel's record of how to go on with a sleep or a poll with a time limit is
    /// not among what can be carried, so these end with EINTR, as they would for a signal.
    public static func portable(_ registers: user_regs_struct) -> user_regs_struct {
        settled(registers, blocked: { $0.rax = UInt64(bitPattern: interrupted) })
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
