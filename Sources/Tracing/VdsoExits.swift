internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// Has threads leave the vdso before they are taken.
///
/// What is in the midst of a function of the vdso can go on with that vdso only, and with data that the kernel of
/// another host does not keep: a thread caught there would bind its images to this kernel. It is let go on for some
/// microseconds, as often as it takes. (Single steps would take fewer, but a thread whose tracer dies in the midst of
/// one is killed by SIGTRAP.)
struct VdsoExits {
    /// How often a thread is sent on. One that does nothing but read a clock leaves the vdso within a few times.
    private static let patience = 100

    private var vdsos: [Int32: Range<UInt64>] = [:]
    private var tries: [Int32: Int] = [:]
    private var sent: [Tracee] = []

    /// Looks whether a thread has stopped, and sets it going again if it stands in the vdso.
    ///
    /// - Returns: whether it is stopped or gone.
    mutating func settle(_ tracee: Tracee) throws(Errno) -> Bool {
        guard try tracee.settle() else { return false }
        // Within a system call it stands behind the instruction of the vdso that made it, and that call is made again
        // by the kernel; within a group stop it must not run.
        guard !tracee.isGone, tracee.groupStop == nil, Int64(bitPattern: tracee.registers.orig_rax) < 0,
            tries[tracee.tid, default: 0] < Self.patience,
            vdso(of: tracee.pid).contains(tracee.registers.rip)
        else { return true }
        tries[tracee.tid, default: 0] += 1
        try tracee.runOn()
        sent.append(tracee)
        return false
    }

    /// Stops those that were sent on, after a moment.
    mutating func stopAgain(_ refusal: (Int32, Int32, Errno) -> Problem) throws(Problem) {
        guard !sent.isEmpty else { return }
        usleep(5)
        for tracee in sent {
            do throws(Errno) { try tracee.stopAgain() } catch { throw refusal(tracee.pid, tracee.tid, error) }
        }
        sent = []
    }

    /// Where a process has its kernel's vdso: empty where it has none.
    private mutating func vdso(of pid: Int32) -> Range<UInt64> {
        if let known = vdsos[pid] { return known }
        let areas = try? ProcessDirectory(pid).maps()
        let range = areas?.first { $0.name == .vdso }?.range ?? 0..<0
        vdsos[pid] = range
        return range
    }
}
