public import CLinux
public import SystemPackage

/// ptrace(2), typed: one function for each request that Apus uses. A tracee belongs to the thread that seized it:
/// from any other, each of these fails with ESRCH.
public enum Ptrace {
    /// Options of PTRACE_SEIZE and PTRACE_SETOPTIONS.
    public struct Options: OptionSet, Sendable {
        public let rawValue: UInt
        public init(rawValue: UInt) { self.rawValue = rawValue }

        /// Syscall stops are told from others by bit 7 of the signal.
        public static let sysgood = Options(rawValue: 1)
        /// Stop a tracee after a successful execve(2).
        public static let traceExec = Options(rawValue: 1 << 4)
        /// Stop a tracee that begins to exit.
        public static let traceExit = Options(rawValue: 1 << 6)
        /// Kill the tracee when its tracer ends.
        public static let exitKill = Options(rawValue: 1 << 20)
        /// Do not apply the tracee's seccomp filters while it is traced (needs CAP_SYS_ADMIN).
        public static let suspendSeccomp = Options(rawValue: 1 << 21)
    }

    /// How a stopped tracee goes on.
    public enum Resumption: Sendable {
        /// To the next signal or event.
        case run
        /// To the next entry into or exit from a system call as well.
        case toSystemCall
    }

    /// Which queue of pending signals is meant.
    public enum SignalQueue: Sendable {
        /// The thread's own.
        case thread
        /// The one that all threads of the process share.
        case process
    }

    @discardableResult
    private static func request(_ request: Int, _ tid: Int32, _ address: UInt = 0, _ data: UInt = 0) throws(Errno)
        -> Int
    {
        let result = apus_ptrace(request, tid, address, data)
        if result == -1 { throw Errno(rawValue: apus_errno()) }
        return result
    }

    /// Attaches without stopping (PTRACE_SEIZE).
    public static func seize(_ tid: Int32, options: Options) throws(Errno) {
        try request(APUS_PTRACE_SEIZE, tid, 0, options.rawValue)
    }

    /// Asks a seized thread to stop (PTRACE_INTERRUPT).
    public static func interrupt(_ tid: Int32) throws(Errno) {
        try request(APUS_PTRACE_INTERRUPT, tid)
    }

    /// Changes the options of a stopped tracee (PTRACE_SETOPTIONS).
    public static func setOptions(_ tid: Int32, _ options: Options) throws(Errno) {
        try request(APUS_PTRACE_SETOPTIONS, tid, 0, options.rawValue)
    }

    /// Lets a stopped tracee go on, with a signal delivered where one is given.
    public static func resume(_ tid: Int32, _ how: Resumption = .run, signal: Int32 = 0) throws(Errno) {
        let number =
            switch how {
            case .run: APUS_PTRACE_CONT
            case .toSystemCall: APUS_PTRACE_SYSCALL
            }
        try request(number, tid, 0, UInt(signed: signal))
    }

    /// Keeps a tracee in its group stop while it listens for SIGCONT (PTRACE_LISTEN).
    public static func listen(_ tid: Int32) throws(Errno) {
        try request(APUS_PTRACE_LISTEN, tid)
    }

    /// Lets go of a stopped tracee.
    public static func detach(_ tid: Int32, signal: Int32 = 0) throws(Errno) {
        try request(APUS_PTRACE_DETACH, tid, 0, UInt(signed: signal))
    }

    /// The general registers.
    public static func registers(_ tid: Int32) throws(Errno) -> user_regs_struct {
        var registers = user_regs_struct()
        // Not by PTRACE_GETREGSET, which has another layout where the tracee is in 32-bit mode.
        let result = unsafe withUnsafeMutablePointer(to: &registers) {
            apus_ptrace(APUS_PTRACE_GETREGS, tid, 0, UInt(bitPattern: $0))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
        return registers
    }

    /// Sets the general registers, the number of the interrupted system call (`orig_rax`) among them.
    public static func setRegisters(_ tid: Int32, _ registers: user_regs_struct) throws(Errno) {
        var registers = registers
        let result = unsafe withUnsafeMutablePointer(to: &registers) {
            apus_ptrace(APUS_PTRACE_SETREGS, tid, 0, UInt(bitPattern: $0))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
    }

    /// A segment of thread-local storage (`struct user_desc` of set_thread_area(2)) that the thread has in the global
    /// descriptor table.
    public static func threadArea(_ tid: Int32, _ entry: UInt32) throws(Errno) -> apus_user_desc {
        var area = apus_user_desc()
        let result = unsafe withUnsafeMutablePointer(to: &area) {
            apus_ptrace(APUS_PTRACE_GET_THREAD_AREA, tid, UInt(entry), UInt(bitPattern: $0))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
        return area
    }

    /// The extended state (x87, SSE, AVX, AVX-512, PKRU) in the standard format of XSAVE (NT_X86_XSTATE). On a processor
    /// without XSAVE x87 and SSE alone, as FXSAVE writes them: the first 512 bytes of that format.
    public static func extendedState(_ tid: Int32) throws(Errno) -> [UInt8] {
        // The largest state of any processor to date, AMX included, is below 12 KiB.
        var bytes = [UInt8](repeating: 0, count: 16384)
        let result: Result<Int, Errno> = unsafe bytes.withUnsafeMutableBytes { buffer in
            var vector = unsafe iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
            return unsafe regset(APUS_PTRACE_GETREGSET, tid, UInt(NT_X86_XSTATE), &vector)
                .map { unsafe vector.iov_len }
        }
        do throws(Errno) {
            bytes.removeLast(bytes.count - (try result.get()))
            return bytes
        } catch .operationNotSupportedByDevice {
            return try legacyState(tid)
        }
    }

    /// x87 and SSE as FXSAVE writes them (`struct user_fpregs_struct`), of 32-bit programs, too.
    static func legacyState(_ tid: Int32) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 512)
        let result = unsafe bytes.withUnsafeMutableBytes {
            apus_ptrace(APUS_PTRACE_GETFPREGS, tid, 0, UInt(bitPattern: $0.baseAddress))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
        return bytes
    }

    /// Whether a stopped tracee may use I/O ports (ioperm(2), NT_386_IOPERM). False where the kernel has no such thing.
    public static func hasPortPermissions(_ tid: Int32) -> Bool {
        let permissions: UInt = 0x201
        // One bit for each of 65536 ports, set for those that it may not use.
        var bytes = [UInt8](repeating: 0, count: 8192)
        let result: Result<Void, Errno> = unsafe bytes.withUnsafeMutableBytes { buffer in
            var vector = unsafe iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
            return unsafe regset(APUS_PTRACE_GETREGSET, tid, permissions, &vector)
        }
        if case .success = result { return true }
        return false
    }

    private static func regset(
        _ number: Int, _ tid: Int32, _ type: UInt, _ vector: UnsafeMutablePointer<iovec>
    ) -> Result<Void, Errno> {
        let result = apus_ptrace(number, tid, type, UInt(bitPattern: vector))
        return result == -1 ? .failure(Errno(rawValue: apus_errno())) : .success(())
    }

    /// The signal mask of a stopped tracee: bit N-1 for signal N.
    public static func signalMask(_ tid: Int32) throws(Errno) -> UInt64 {
        var mask: UInt64 = 0
        let result = unsafe withUnsafeMutablePointer(to: &mask) {
            apus_ptrace(
                APUS_PTRACE_GETSIGMASK, tid, UInt(MemoryLayout<UInt64>.size), UInt(bitPattern: $0))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
        return mask
    }

    /// Sets the signal mask of a stopped tracee.
    public static func setSignalMask(_ tid: Int32, _ mask: UInt64) throws(Errno) {
        var mask = mask
        let result = unsafe withUnsafeMutablePointer(to: &mask) {
            apus_ptrace(
                APUS_PTRACE_SETSIGMASK, tid, UInt(MemoryLayout<UInt64>.size), UInt(bitPattern: $0))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
    }

    /// What stands pending in a queue, in its order: the 128 bytes of each siginfo_t. Nothing is dequeued.
    public static func pendingSignals(_ tid: Int32, in queue: SignalQueue) throws(Errno) -> [[UInt8]] {
        var found: [[UInt8]] = []
        while true {
            var arguments = apus_peeksiginfo()
            arguments.offset = UInt64(found.count)
            arguments.flags = queue == .process ? UInt32(APUS_PTRACE_PEEKSIGINFO_SHARED) : 0
            arguments.count = 32
            var bytes = [UInt8](repeating: 0, count: 32 * 128)
            let result = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe withUnsafePointer(to: &arguments) {
                    apus_ptrace(
                        APUS_PTRACE_PEEKSIGINFO, tid, UInt(bitPattern: $0),
                        UInt(bitPattern: buffer.baseAddress))
                }
            }
            if result == -1 { throw Errno(rawValue: apus_errno()) }
            if result == 0 { return found }
            for index in 0..<result { found.append(Array(bytes[index * 128..<(index + 1) * 128])) }
        }
    }

    /// A seccomp filter of a stopped tracee, or nil where it has not so many.
    ///
    /// Needs CAP_SYS_ADMIN, and a kernel with CONFIG_CHECKPOINT_RESTORE.
    ///
    /// - Parameter index: 0 for the first that was installed.
    /// - Returns: the program (an array of struct sock_filter), and SECCOMP_FILTER_FLAG_* as far as the kernel keeps them.
    public static func seccompFilter(_ tid: Int32, index: Int) throws(Errno) -> (program: [UInt8], flags: UInt32)? {
        let count = apus_ptrace(APUS_PTRACE_SECCOMP_GET_FILTER, tid, UInt(index), 0)
        if count < 0 {
            let error = Errno(rawValue: apus_errno())
            if error == .noSuchFileOrDirectory { return nil }
            throw error
        }
        // struct sock_filter has eight bytes.
        var program = [UInt8](repeating: 0, count: count * 8)
        let read = unsafe program.withUnsafeMutableBytes {
            apus_ptrace(APUS_PTRACE_SECCOMP_GET_FILTER, tid, UInt(index), UInt(bitPattern: $0.baseAddress))
        }
        guard read == count else { throw Errno(rawValue: apus_errno()) }
        var metadata = apus_seccomp_metadata(index: UInt64(index), flags: 0)
        let got = unsafe withUnsafeMutablePointer(to: &metadata) {
            apus_ptrace(
                APUS_PTRACE_SECCOMP_GET_METADATA, tid, UInt(MemoryLayout<apus_seccomp_metadata>.size),
                UInt(bitPattern: $0))
        }
        // Before Linux 4.16 there is no such request, and no flag to be kept.
        return (program, got < 0 ? 0 : UInt32(truncatingIfNeeded: metadata.flags))
    }

    /// The restartable sequence area that the thread has registered, or nil (kernel 5.13, rseq(2)).
    public static func rseq(_ tid: Int32) throws(Errno) -> apus_rseq_configuration? {
        var configuration = apus_rseq_configuration()
        let result = unsafe withUnsafeMutablePointer(to: &configuration) {
            apus_ptrace(
                APUS_PTRACE_GET_RSEQ_CONFIGURATION, tid,
                UInt(MemoryLayout<apus_rseq_configuration>.size), UInt(bitPattern: $0))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
        return configuration.address == 0 ? nil : configuration
    }

    /// Of struct ptrace_sud_config: mode, selector, offset, length.
    private static let dispatchSize: UInt = 32

    /// How a stopped tracee has its system calls dispatched to itself, or nil (Linux 6.4).
    ///
    /// - Throws: EIO where the kernel cannot tell, EINVAL where it has no such thing.
    public static func dispatch(_ tid: Int32) throws(Errno) -> SystemCallDispatch? {
        var kept: (mode: UInt64, selector: UInt64, offset: UInt64, length: UInt64) = (0, 0, 0, 0)
        let result = unsafe withUnsafeMutablePointer(to: &kept) {
            apus_ptrace(
                APUS_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, dispatchSize,
                UInt(bitPattern: $0))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
        return SystemCallDispatch(kept: kept)
    }

    /// Has the system calls of a stopped tracee dispatched to itself, or made.
    public static func setDispatch(_ tid: Int32, _ dispatch: SystemCallDispatch?) throws(Errno) {
        let none = SystemCallDispatch(mode: 0, offset: 0, length: 0, selector: 0)
        let new = dispatch ?? none
        var wanted = (new.mode, new.selector, new.offset, new.length)
        let result = unsafe withUnsafeMutablePointer(to: &wanted) {
            apus_ptrace(
                APUS_PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, tid, dispatchSize,
                UInt(bitPattern: $0))
        }
        if result == -1 { throw Errno(rawValue: apus_errno()) }
    }

    /// What wait4(2) told of a tracee.
    public enum Change: Sendable, Equatable {
        /// It ended; the status as wait(2) encodes it.
        case ended(status: Int32)
        /// PTRACE_EVENT_STOP: stopped by `interrupt`, or in the group stop of the signal that is given.
        case stopped(group: Int32?)
        /// Another PTRACE_EVENT_*.
        case event(Int32)
        /// At the entry into or the exit from a system call.
        case systemCall
        /// About to receive a signal.
        case signal(Int32)
    }

    /// What has happened to a tracee, or nil where nothing has and `blocking` is not asked for.
    public static func wait(_ tid: Int32, blocking: Bool) throws(Errno) -> Change? {
        var status: Int32 = 0
        while true {
            let result = unsafe apus_wait(tid, &status, blocking ? 0 : Int32(WNOHANG))
            if result == 0 { return nil }
            if result > 0 { break }
            let error = Errno(rawValue: apus_errno())
            if error != .interrupted { throw error }
        }
        guard apus_WIFSTOPPED(status) != 0 else { return .ended(status: status) }
        let signal = apus_WSTOPSIG(status)
        switch status >> 16 {
        case 0: return signal == SIGTRAP | 0x80 ? .systemCall : .signal(signal)
        case Int32(APUS_PTRACE_EVENT_STOP): return .stopped(group: signal == SIGTRAP ? nil : signal)
        case let event: return .event(event)
        }
    }
}
