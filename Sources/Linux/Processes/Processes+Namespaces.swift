internal import CLinux
internal import Glibc
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

    /// The pid namespace of a process, as a link of `/proc/PID/ns` tells it; empty where that cannot be read.
    ///
    /// - Parameter process: its pid, or `self`.
    public static func pidNamespace(of process: String) -> String {
        String(decoding: (try? Files.readLink(FilePath("/proc/\(process)/ns/pid"))) ?? [], as: UTF8.self)
    }

    /// Whether every process of the host can be seen from here: this is the first pid namespace (`PROC_PID_INIT_INO` of
    /// include/uapi/linux/nsfs.h and linux/proc_ns.h).
    public static var seesWholeHost: Bool { pidNamespace(of: "self") == "pid:[4026531836]" }

    /// The pid after which the kernel looks for the next free one, in this pid namespace (`ns_last_pid`, proc_sys_kernel(5)).
    public static func setLastPid(_ pid: Int) throws(Errno) {
        let file = try Files.open("/proc/sys/kernel/ns_last_pid", .writeOnly)
        try Files.write(file.raw, Array("\(pid)".utf8))
    }

    /// Waits until every other process of the same program in this pid namespace has ended. The end of the init is the end of
    /// all: a dump, or a migration, that was made from inside (nsenter(1)) ends the tree before it has told how it went.
    public static func awaitOthersOfThisProgram() {
        guard let own = try? Files.status(of: "/proc/self/exe") else { return }
        while true {
            let others = ((try? Files.entries(of: "/proc")) ?? []).compactMap(\.number).filter { $0 != current }
            let isAtWork = others.contains { pid in
                guard let other = try? Files.status(of: FilePath("/proc/\(pid)/exe")) else { return false }
                return other.device == own.device && other.inode == own.inode
            }
            if !isAtWork { return }
            usleep(20_000)
        }
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
