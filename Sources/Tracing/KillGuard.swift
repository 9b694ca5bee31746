internal import CLinux
internal import Glibc
internal import Linux
internal import SystemPackage

/// Sees to it that a tree of which the first process has been killed does not survive in part.
///
/// A helper process waits for the end of Apus. Where Apus says before that all is done, it goes away; where Apus just
/// ends, killed in the middle, it kills what is left.
struct KillGuard: ~Copyable {
    private let helper: Int32
    private let lifeline: OwnedDescriptor

    /// Starts the helper.
    ///
    /// - Parameter pids: what it has to kill. Named by pidfds, they cannot come to mean other processes.
    /// - Throws: what keeps it from being started: too many open files or processes.
    init(_ pids: [Int32]) throws(Errno) {
        let ends = try Files.pipe()
        var victims: [Int32] = []
        defer { for victim in victims { try? Files.close(victim) } }
        for pid in pids { victims.append(try Processes.open(pid).release()) }
        let (reading, writing) = (ends.first.raw, ends.second.raw)
        // A plain copy of this process: it makes system calls and nothing else, for no thread but this one is in it.
        let pid = apus_syscall(Int(SYS_clone), UInt(SIGCHLD), 0, 0, 0, 0, 0)
        if pid == 0 { Self.watch(reading, writing, victims) }
        guard pid > 0 else { throw Errno(rawValue: apus_errno()) }
        helper = Int32(pid)
        lifeline = ends.second
    }

    private static func watch(_ reading: Int32, _ writing: Int32, _ victims: [Int32]) -> Never {
        _ = apus_syscall(Int(SYS_close), UInt(writing), 0, 0, 0, 0, 0)
        var byte: UInt8 = 0
        let got = unsafe withUnsafeMutablePointer(to: &byte) { pointer in
            var got = -1
            // EINTR: Ctrl-C in the terminal is for Apus, which decides about it.
            repeat {
                got = apus_syscall(Int(SYS_read), UInt(reading), UInt(bitPattern: pointer), 1, 0, 0, 0)
            } while got < 0 && apus_errno() == EINTR
            return got
        }
        if got == 0 {
            for victim in victims {
                _ = apus_syscall(Int(SYS_pidfd_send_signal), UInt(victim), UInt(SIGKILL), 0, 0, 0, 0)
            }
        }
        while true { _ = apus_syscall(Int(SYS_exit_group), 0, 0, 0, 0, 0, 0) }
    }

    /// Sends the helper away: everything is dead.
    consuming func dismiss() {
        try? Files.write(lifeline.raw, [1])
        _ = try? Processes.wait(for: helper)
    }
}
