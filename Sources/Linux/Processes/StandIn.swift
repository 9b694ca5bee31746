internal import CLinux
public import SystemPackage

/// A process that is there for one system call alone: the kernel notes who has made a Unix connection (SO_PEERCRED of
/// unix(7)), and goes on telling so when that process has ended.
///
/// It is a copy of Apus with the same table of descriptors, the pid, users and groups asked for, and Apus' capabilities.
public struct StandIn: Sendable, Hashable {
    /// 0 for any.
    public var pid: Int32
    /// The effective ids.
    public var uid, gid: UInt32
    /// Supplementary groups.
    public var groups: [UInt32]

    public init(pid: Int32, uid: UInt32, gid: UInt32, groups: [UInt32] = []) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.groups = groups
    }

    /// Has it make a call; its arguments may be addresses of Apus' memory that the call only reads.
    ///
    /// - Returns: EEXIST also where another process has the pid.
    func outcome(
        of number: Int, _ a: UInt = 0, _ b: UInt = 0, _ c: UInt = 0, _ d: UInt = 0, _ e: UInt = 0
    ) -> Result<Int, Errno> {
        Result { () throws(Errno) in
            let (result, _) = try run { _ in Call(number, a, b, c, d, e) }
            return result
        }
    }

    /// socketpair(2) of Unix sockets, close-on-exec.
    func socketPair(type: Int32) throws(Errno) -> Files.Pair {
        let (unix, closeOnExec): (UInt, Int32) = (1, 0o2000000)
        let (_, ends) = try run { Call(Int(SYS_socketpair), unix, UInt(signed: type | closeOnExec), 0, $0, 0) }
        return Files.Pair(owning: ends.0, ends.1)
    }

    private struct Call {
        let number: Int
        let a, b, c, d, e: UInt
        init(_ number: Int, _ a: UInt, _ b: UInt, _ c: UInt, _ d: UInt, _ e: UInt) {
            (self.number, self.a, self.b, self.c, self.d, self.e) = (number, a, b, c, d, e)
        }
    }

    /// - Parameter call: is given the address of memory that Apus sees, too, for two descriptors.
    private func run(_ call: (UInt) -> Call) throws(Errno) -> (Int, (Int32, Int32)) {
        let size = 4096
        let file = try Files.memory(named: "apus-stand-in")
        try Files.truncate(file.raw, to: UInt64(size))
        let region = try MappedRegion(of: file.raw, count: size)
        let place = unsafe region.withBytes { UInt(bitPattern: $0.baseAddress) }
        let call = call(place + 8)
        let numbers = groups.flatMap { group in (0..<4).map { UInt8(truncatingIfNeeded: group >> UInt32(8 * $0)) } }
        let parent = Processes.current
        try withAddress(ofBytes: numbers) { groups, _ -> Result<Void, Errno> in
            Result { () throws(Errno) in
                let child = try fork()
                if child == 0 { live(call, groups, place, parent) }
                _ = try Processes.wait(for: child)
            }
        }.get()
        let answer = region.bytes(in: 0..<16)
        let result = Int(bitPattern: UInt(answer[...].integer(at: 0, of: UInt64.self)))
        guard result >= 0 else { throw Errno(rawValue: Int32(clamping: -result)) }
        let ends = (answer[...].integer(at: 8, of: UInt32.self), answer[...].integer(at: 12, of: UInt32.self))
        return (result, (Int32(bitPattern: ends.0), Int32(bitPattern: ends.1)))
    }

    private func fork() throws(Errno) -> Int32 {
        var wanted = (pid, Int32(0))
        let shareDescriptors: UInt64 = 0x400  // CLONE_FILES
        let hasPid = pid != 0
        return Int32(
            try withAddress(of: &wanted) { address in
                // Nobody is told of its end (exit_signal 0).
                var arguments = apus_clone_args()
                arguments.flags = shareDescriptors
                arguments.set_tid = hasPid ? UInt64(address) : 0
                arguments.set_tid_size = hasPid ? 1 : 0
                return Result { () throws(Errno) in
                    try withAddress(of: &arguments) {
                        Linux.outcome(of: Int(SYS_clone3), $0, UInt(MemoryLayout<apus_clone_args>.size))
                    }
                }
            })
    }

    /// The child's whole life: system calls by number, on memory that was got ready before, and nothing else.
    private func live(_ call: Call, _ groups: UInt, _ place: UInt, _ parent: Int32) -> Never {
        let (setDeathSignal, setSecureBits, kill): (UInt, UInt, UInt) = (1, 28, 9)
        let keepCapabilities: UInt = 4  // SECBIT_NO_SETUID_FIXUP: another user, and the rights of this one.
        _ = apus_syscall(Int(SYS_prctl), setDeathSignal, kill, 0, 0, 0, 0)
        var result = -Int(Errno.noSuchProcess.rawValue)
        if apus_syscall(Int(SYS_getppid), 0, 0, 0, 0, 0, 0) == Int(parent) {
            _ = apus_syscall(Int(SYS_prctl), setSecureBits, keepCapabilities, 0, 0, 0, 0)
            let (group, user) = (UInt(gid), UInt(uid))
            let isReady =
                apus_syscall(Int(SYS_setgroups), UInt(self.groups.count), groups, 0, 0, 0, 0) == 0
                && apus_syscall(Int(SYS_setresgid), group, group, group, 0, 0, 0) == 0
                && apus_syscall(Int(SYS_setresuid), user, user, user, 0, 0, 0) == 0
            result = isReady ? apus_syscall(call.number, call.a, call.b, call.c, call.d, call.e, 0) : -1
            if result < 0 { result = -Int(apus_errno()) }
        }
        // The mapping is shared with Apus, which looks at it when this process has ended.
        unsafe UnsafeMutablePointer<Int>(bitPattern: place)?.pointee = result
        while true { _ = apus_syscall(Int(SYS_exit_group), 0, 0, 0, 0, 0, 0) }
    }
}

extension Sockets {
    /// SO_PEERCRED and SO_PEERGROUPS: who made the connection that a Unix socket has; of a listening one, who made it
    /// listen. nil where nobody did.
    public static func peerCredentials(of socket: Int32) throws(Errno) -> StandIn? {
        let credentials = try bytes(of: socket, Option.peerCredentials.rawValue, atMost: 12)[...]
        guard credentials.count == 12 else { throw .badMessage }
        let pid = Int32(bitPattern: credentials.integer(at: 0, of: UInt32.self))
        let (uid, gid) = (credentials.integer(at: 4, of: UInt32.self), credentials.integer(at: 8, of: UInt32.self))
        if pid == 0 && uid == .max && gid == .max { return nil }
        let (peerGroups, most): (Int32, Int) = (59, 65536)
        // Unknown before Linux 4.13.
        let groups = (try? bytes(of: socket, peerGroups, atMost: 4 * most)) ?? []
        return StandIn(
            pid: pid, uid: uid, gid: gid,
            groups: (0..<groups.count / 4).map { groups[...].integer(at: 4 * $0, of: UInt32.self) })
    }
}
