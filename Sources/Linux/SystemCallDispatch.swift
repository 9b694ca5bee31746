internal import CLinux

/// That the system calls of a thread are dispatched to itself: it gets SIGSYS in their place (PR_SET_SYSCALL_USER_DISPATCH of prctl(2),
/// "Syscall User Dispatch" of the kernel's administration guide).
public struct SystemCallDispatch: Sendable, Equatable {
    /// PR_SYS_DISPATCH_EXCLUSIVE_ON (1): calls from outside of the range. PR_SYS_DISPATCH_INCLUSIVE_ON (2): calls from the range.
    public var mode: UInt64
    /// The range of code.
    public var offset, length: UInt64
    /// The address of the byte that says whether calls are dispatched (1) or made (0); 0 where all are dispatched.
    public var selector: UInt64

    public init(mode: UInt64, offset: UInt64, length: UInt64, selector: UInt64) {
        (self.mode, self.offset, self.length, self.selector) = (mode, offset, length, selector)
    }

    /// Whether the kernel has such a thing at all (since 5.11). That a thread of another process has it set, it tells since 6.4.
    public static let isKnown: Bool = {
        let set = 59  // PR_SET_SYSCALL_USER_DISPATCH, to PR_SYS_DISPATCH_OFF
        return apus_syscall(Int(SYS_prctl), UInt(set), 0, 0, 0, 0, 0) == 0
    }()

    /// From what the kernel keeps (struct ptrace_sud_config): there a range whose own calls are dispatched is all the rest of
    /// the address space, and the mode is the first in any case.
    public init?(kept: (mode: UInt64, selector: UInt64, offset: UInt64, length: UInt64)) {
        guard kept.mode != 0 else { return nil }
        let end = kept.offset &+ kept.length
        if kept.offset != 0, end <= kept.offset, kept.length != 0 {
            self.init(mode: 2, offset: end, length: 0 &- kept.length, selector: kept.selector)
        } else {
            self.init(mode: 1, offset: kept.offset, length: kept.length, selector: kept.selector)
        }
    }
}
