internal import CLinux
public import SystemPackage

/// Namespaces (namespaces(7)).
extension Processes {
    /// What unshare(2) separates.
    public struct Namespaces: OptionSet, Sendable {
        public let rawValue: UInt
        public init(rawValue: UInt) { self.rawValue = rawValue }

        /// CLONE_NEWNS: the process itself gets a copy of its mounts.
        public static let mounts = Namespaces(rawValue: 0x20000)
        /// CLONE_NEWPID: the next child is the init of a new pid namespace (pid_namespaces(7)).
        public static let pidsOfChildren = Namespaces(rawValue: 0x2000_0000)
    }

    /// unshare(2).
    public static func unshare(_ namespaces: Namespaces) throws(Errno) {
        try call(Int(SYS_unshare), namespaces.rawValue)
    }

    /// fork(2), for a program of one thread.
    ///
    /// - Returns: the child's pid; 0 in the child.
    public static func fork() throws(Errno) -> Int32 {
        let pid = apus_fork()
        guard pid >= 0 else { throw Errno(rawValue: apus_errno()) }
        if pid == 0 { Workers.workAlone() }
        return pid
    }

    /// Has the kernel send this process a signal when its parent ends (PR_SET_PDEATHSIG, prctl(2)); 0 for none.
    public static func setDeathSignal(_ signal: Int32) throws(Errno) {
        try call(Int(SYS_prctl), 1, UInt(signed: signal))
    }

    /// Gives this process a /proc of its own pid namespace, for itself and its children alone: its mounts become a
    /// copy, into which later mounts of the host still spread (MS_SLAVE, mount_namespaces(7)).
    public static func mountOwnProc() throws(Errno) {
        try unshare(.mounts)
        let (recursive, slave): (UInt, UInt) = (0x4000, 0x80000)
        let hardened: UInt = 0xe  // MS_NOSUID, MS_NODEV, MS_NOEXEC
        _ = try withAddress(of: FilePath("/")) { root in
            outcome(of: Int(SYS_mount), 0, root, 0, recursive | slave, 0)
        }.get()
        _ = try withAddress(of: FilePath("proc")) { type in
            withAddress(of: FilePath("/proc")) { place in
                outcome(of: Int(SYS_mount), type, place, type, hardened, 0)
            }
        }.get()
    }
}
