internal import CLinux
internal import Glibc
public import SystemPackage

/// Processes and threads: the kernel's calls, typed.
public enum Processes {
    /// getpid(2).
    public static var current: Int32 { Int32(apus_syscall(Int(SYS_getpid), 0, 0, 0, 0, 0, 0)) }

    /// gettid(2).
    public static var currentThread: Int32 { Int32(apus_syscall(Int(SYS_gettid), 0, 0, 0, 0, 0, 0)) }

    /// geteuid(2).
    public static var effectiveUser: UInt32 {
        UInt32(truncatingIfNeeded: apus_syscall(Int(SYS_geteuid), 0, 0, 0, 0, 0, 0))
    }

    /// kill(2); `signal` 0 asks only whether the process is there and may be signalled.
    ///
    /// - Parameter pid: a process; a process group where negative.
    public static func kill(_ pid: Int32, signal: Int32) throws(Errno) {
        try call(Int(SYS_kill), UInt(signed: pid), UInt(signed: signal))
    }

    /// tgkill(2): a signal to one thread.
    public static func kill(thread: Int32, of pid: Int32, signal: Int32) throws(Errno) {
        try call(Int(SYS_tgkill), UInt(signed: pid), UInt(signed: thread), UInt(signed: signal))
    }

    /// pidfd_open(2), since Linux 5.3. Readable once the process has ended. It cannot come to mean another process.
    public static func open(_ pid: Int32) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(owning: Int32(try call(Int(SYS_pidfd_open), UInt(signed: pid), 0)))
    }

    /// The same of a thread, be it the first of its process or not: the others since Linux 6.9 alone (PIDFD_THREAD).
    public static func open(thread: Int32) throws(Errno) -> OwnedDescriptor {
        do throws(Errno) {
            return try open(thread)
        } catch {
            // EINVAL for what is no process, since Linux 6.15 ENOENT.
            guard error == .invalidArgument || error == .noSuchFileOrDirectory else { throw error }
            let thatThread: UInt = 0o200
            return OwnedDescriptor(owning: Int32(try call(Int(SYS_pidfd_open), UInt(signed: thread), thatThread)))
        }
    }

    /// The same of a thread of a process. Before Linux 6.9, which cannot hold another than the first, of the process: it has
    /// the same descriptors, as long as its first thread lives.
    public static func open(thread: Int32, of process: Int32) throws(Errno) -> OwnedDescriptor {
        do throws(Errno) {
            return try open(thread: thread)
        } catch {
            guard error == .invalidArgument, thread != process else { throw error }
            return try open(process)
        }
    }

    /// pidfd_getfd(2), since Linux 5.6: another descriptor here of the description that `descriptor` is in the process.
    public static func descriptor(_ descriptor: Int32, of pidfd: Int32) throws(Errno) -> OwnedDescriptor {
        let number = try call(Int(SYS_pidfd_getfd), UInt(signed: pidfd), UInt(signed: descriptor), 0)
        return OwnedDescriptor(owning: Int32(number))
    }

    /// Has a write to a pipe or a socket that nobody reads from fail with EPIPE, in place of ending Apus (signal(7), SIGPIPE).
    public static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }

    /// pidfd_send_signal(2), since Linux 5.1.
    public static func kill(pidfd: Int32, signal: Int32) throws(Errno) {
        try call(Int(SYS_pidfd_send_signal), UInt(signed: pidfd), UInt(signed: signal), 0, 0)
    }

    /// getsid(2): the session; 0 where its leader is outside of this pid namespace.
    public static func session(of pid: Int32) throws(Errno) -> Int32 {
        Int32(try call(Int(SYS_getsid), UInt(signed: pid)))
    }

    /// getpgid(2): the process group.
    public static func group(of pid: Int32) throws(Errno) -> Int32 {
        Int32(try call(Int(SYS_getpgid), UInt(signed: pid)))
    }

    /// Does something as another user (setresuid(2), of this thread alone), and is who it was afterwards.
    ///
    /// Rights of the user 0 rest meanwhile, and come back with it.
    ///
    /// - Throws: EPERM without CAP_SETUID; what `body` throws.
    public static func acting(
        real: UInt32, effective: UInt32, _ body: () throws(Errno) -> Void
    ) throws(Errno) {
        let own = (
            UInt32(truncatingIfNeeded: apus_syscall(Int(SYS_getuid), 0, 0, 0, 0, 0, 0)), effectiveUser
        )
        if own == (real, effective) { return try body() }
        let same = UInt(UInt32.max)
        // The third, which stays, is the way back.
        try call(Int(SYS_setresuid), UInt(real), UInt(effective), same)
        let result = Result { () throws(Errno) in try body() }
        try call(Int(SYS_setresuid), UInt(own.0), UInt(own.1), same)
        // A change of user makes a process one that others may not look at (PR_SET_DUMPABLE).
        try call(Int(SYS_prctl), 4, 1)
        try result.get()
    }

    /// What kcmp(2) can compare.
    public enum Resource: Sendable, Equatable {
        /// The open file descriptions of two descriptors.
        case file(Int32, Int32)
        case memory, descriptors, fileSystemContext, signalHandlers, ioContext, semaphoreUndo
    }

    /// The kernel's answer: an order that holds as long as the system runs, so that resources can be sorted by it.
    public enum Order: Sendable, Equatable { case same, less, greater, different }

    /// kcmp(2): whether two tasks share a resource.
    ///
    /// - Throws: ENOSYS on a kernel without CONFIG_KCMP; EPERM; EBADF; ESRCH.
    public static func compare(_ first: Int32, _ second: Int32, _ resource: Resource) throws(Errno) -> Order {
        let (kind, a, b): (UInt, Int32, Int32) =
            switch resource {
            case .file(let a, let b): (0, a, b)
            case .memory: (1, 0, 0)
            case .descriptors: (2, 0, 0)
            case .fileSystemContext: (3, 0, 0)
            case .signalHandlers: (4, 0, 0)
            case .ioContext: (5, 0, 0)
            case .semaphoreUndo: (6, 0, 0)
            }
        let result = try call(
            Int(SYS_kcmp), UInt(signed: first), UInt(signed: second), kind, UInt(signed: a), UInt(signed: b))
        return order(result)
    }

    private static func order(_ answer: Int) -> Order {
        switch answer {
        case 0: .same
        case 1: .less
        case 2: .greater
        default: .different
        }
    }

    /// KCMP_EPOLL_TFD of kcmp(2), since Linux 4.13: whether a descriptor of one process is what an epoll set, a
    /// descriptor of another one, watches.
    ///
    /// - Parameters:
    ///   - number: under which the set knows what it watches.
    ///   - position: of several that it knows under this number, in the order of its fdinfo.
    /// - Throws: ENOENT where the set watches no such number.
    public static func watches(
        _ set: Int32, of holder: Int32, _ number: Int32, position: UInt32, descriptor: Int32, of pid: Int32
    ) throws(Errno) -> Bool {
        let kind: UInt = 7
        // struct kcmp_epoll_slot
        var slot = (UInt32(bitPattern: set), UInt32(bitPattern: number), position)
        let result = try withAddress(of: &slot) { address in
            outcome(
                of: Int(SYS_kcmp), UInt(signed: pid), UInt(signed: holder), kind, UInt(signed: descriptor), address)
        }
        return order(result) == .same
    }

    /// get_robust_list(2): the address of a thread's list of robust futexes (0: none), and the length of its head.
    public static func robustList(of thread: Int32) throws(Errno) -> (address: UInt64, length: UInt64) {
        var answer: (UInt64, UInt64) = (0, 0)
        _ = try withAddress(of: &answer) { address in
            outcome(of: Int(SYS_get_robust_list), UInt(signed: thread), address, address + 8)
        }
        return answer
    }
}
