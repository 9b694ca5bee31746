internal import CLinux
internal import SystemPackage

/// A child of the probes: a copy of this process that prepares something and then waits. Killed and reaped with its
/// owner.
///
/// In the child, other threads' locks may be held for ever: what runs there makes system calls by number, on memory
/// that was got ready before, and nothing else.
struct ProbeChild: ~Copyable {
    let pid: Int32

    /// Makes the child and waits until it is ready.
    ///
    /// - Parameters:
    ///   - wantedPid: the pid it must get (clone3(2), set_tid).
    ///   - prepare: runs in the child; 0, or the error number that the initialiser is to throw.
    init(pid wantedPid: Int32? = nil, preparing prepare: () -> Int32 = { 0 }) throws(Errno) {
        pid = try Self.start(as: wantedPid, prepare)
    }

    deinit { Self.end(pid) }

    private static func start(as wantedPid: Int32?, _ prepare: () -> Int32) throws(Errno) -> Int32 {
        let pipe = try Files.pipe()
        let reader = pipe.first
        let writer = pipe.second
        let pid = try fork(as: wantedPid)
        if pid == 0 { live(prepare, writer.raw) }
        do throws(Errno) {
            try writer.close()
            // No byte comes from a child that died.
            guard let status = try Files.readSome(reader.raw, atMost: 1).first else { throw .noChildProcess }
            if status != 0 { throw Errno(rawValue: Int32(status)) }
            return pid
        } catch {
            end(pid)
            throw error
        }
    }

    private static func end(_ pid: Int32) {
        try? Processes.kill(pid, signal: 9)
        _ = try? Processes.wait(for: pid)
    }

    private static func fork(as wantedPid: Int32?) throws(Errno) -> Int32 {
        let childEnds: UInt64 = 17
        guard let wantedPid else {
            // Without CLONE_VM the child has a copy of everything, this stack too.
            return Int32(try call(Int(SYS_clone), UInt(childEnds)))
        }
        var wanted = (wantedPid, Int32(0))
        return Int32(
            try withAddress(of: &wanted) { address in
                var arguments = apus_clone_args()
                arguments.exit_signal = childEnds
                arguments.set_tid = UInt64(address)
                arguments.set_tid_size = 1
                return Result { () throws(Errno) in
                    try withAddress(of: &arguments) {
                        outcome(of: Int(SYS_clone3), $0, UInt(MemoryLayout<apus_clone_args>.size))
                    }
                }
            })
    }

    /// The child's whole life. It ends with its parent.
    private static func live(_ prepare: () -> Int32, _ writer: Int32) -> Never {
        let (setParentDeathSignal, kill): (UInt, UInt) = (1, 9)
        _ = apus_syscall(Int(SYS_prctl), setParentDeathSignal, kill, 0, 0, 0, 0)
        var status = UInt8(truncatingIfNeeded: prepare())
        unsafe withUnsafeMutablePointer(to: &status) {
            // One byte, lent for the call.
            _ = apus_syscall(Int(SYS_write), UInt(signed: writer), UInt(bitPattern: $0), 1, 0, 0, 0)
        }
        // No descriptors and no timeout: waits for ever.
        while true { _ = apus_syscall(Int(SYS_ppoll), 0, 0, 0, 0, 0, 0) }
    }

    /// A call in the child: 0, or its error number.
    static func error(
        of number: Int32, _ a: UInt = 0, _ b: UInt = 0, _ c: UInt = 0, _ d: UInt = 0, _ e: UInt = 0
    ) -> Int32 {
        apus_syscall(Int(number), a, b, c, d, e, 0) < 0 ? apus_errno() : 0
    }
}

extension ProbeChild {
    /// Seizes the child (ptrace(2)) and stops it.
    func stop() throws(Errno) {
        try seize(options: 0)
        try call(Int(SYS_ptrace), Request.interrupt, UInt(signed: pid))
        _ = try Processes.wait(for: pid)
    }

    func seize(options: UInt) throws(Errno) {
        try call(Int(SYS_ptrace), Request.seize, UInt(signed: pid), 0, options)
    }

    enum Request {
        static let pokeUser: UInt = 6
        static let seize: UInt = 0x4206
        static let interrupt: UInt = 0x4207
        static let getSeccompFilter: UInt = 0x420c
        static let getRseqConfiguration: UInt = 0x420f
    }
}
