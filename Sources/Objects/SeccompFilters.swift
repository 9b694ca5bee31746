public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// The seccomp filters of a tree (seccomp(2)): a thread has a chain of them, each added in front of those before, and
/// children and threads inherit the chain. What is common is recorded once.
public struct SeccompFilters: Sendable {
    /// A filter by what it is: its program, its flags, and what it was added to.
    private struct Link: Hashable {
        let program: [UInt8]
        let flags: UInt32
        let previous: UInt32?
    }

    /// What goes into `seccomp.img`.
    public private(set) var entries: [SeccompFilter] = []
    private var known: [Link: UInt32] = [:]

    public init() {}

    /// Records a chain.
    ///
    /// - Parameter chain: the first that was installed first; not empty.
    /// - Returns: the index of the last, by which a thread names its chain.
    mutating func record(_ chain: [(program: [UInt8], flags: UInt32)]) -> UInt32 {
        var last: UInt32?
        for filter in chain {
            let link = Link(program: filter.program, flags: filter.flags, previous: last)
            if let index = known[link] {
                last = index
                continue
            }
            var entry = SeccompFilter()
            entry.program = filter.program
            entry.flags = filter.flags
            if let last { entry.prev = last }
            let index = UInt32(entries.count)
            entries.append(entry)
            known[link] = index
            last = index
        }
        return last ?? 0
    }

    /// Reads the chain of a stopped thread and records it.
    ///
    /// - Parameter mode: of `/proc/PID/status`: 0 off, 1 strict, 2 filters.
    public mutating func capture(_ tid: Int32, of pid: Int32, mode: UInt32, into core: inout ThreadCoreEntry)
        throws(Problem)
    {
        switch mode {
        case 0: return
        case 1: core.seccompMode = .strict
        default:
            core.seccompMode = .filter
            let chain = try Self.chain(tid, of: pid)
            if chain.contains(where: { Self.asksSupervisor($0.program) }) {
                throw Problem(
                    .unsupported, "thread \(tid) has a seccomp filter that asks a supervisor (SECCOMP_RET_USER_NOTIF)",
                    object: .init(pid: pid),
                    remedy: "The connection to the supervisor cannot be carried: run the program without it")
            }
            core.seccompFilter = record(chain)
        }
    }

    /// Whether a program (struct sock_filter of linux/filter.h: code, jump if true, jump if false, operand) can return
    /// SECCOMP_RET_USER_NOTIF.
    static func asksSupervisor(_ program: [UInt8]) -> Bool {
        let (returnsConstant, notify): (UInt16, UInt32) = (0x06, 0x7fc0_0000)
        return stride(from: 0, to: program.count - 7, by: 8).contains { start in
            program.littleEndian(UInt16.self, at: start) == returnsConstant
                && program.littleEndian(UInt32.self, at: start + 4) & 0xffff_0000 == notify
        }
    }

    private static func chain(_ tid: Int32, of pid: Int32) throws(Problem) -> [(program: [UInt8], flags: UInt32)] {
        var chain: [(program: [UInt8], flags: UInt32)] = []
        do throws(Errno) {
            while let filter = try Ptrace.seccompFilter(tid, index: chain.count) { chain.append(filter) }
        } catch {
            throw Problem(
                .objectUnreadable, "its seccomp filters cannot be read", object: .init(pid: pid),
                cause: .init(error, attempted: "ptrace(PTRACE_SECCOMP_GET_FILTER)"),
                remedy:
                    "Run Apus with CAP_SYS_ADMIN, outside of any container with filters of its own, on a kernel with"
                    + " CONFIG_CHECKPOINT_RESTORE")
        }
        return chain
    }

    /// Makes sure that a thread's filters sleep while Apus borrows it: they would kill it for calls that are not its own.
    public static func suspend(_ tid: Int32, of pid: Int32) throws(Problem) {
        do throws(Errno) {
            try Ptrace.setOptions(tid, [.sysgood, .suspendSeccomp])
        } catch {
            throw Problem(
                .objectUnreadable, "its seccomp filters cannot be suspended", object: .init(pid: pid),
                cause: .init(error, attempted: "ptrace(PTRACE_O_SUSPEND_SECCOMP)"),
                remedy:
                    "Run Apus with CAP_SYS_ADMIN, outside of any container with filters of its own, on a kernel with"
                    + " CONFIG_CHECKPOINT_RESTORE")
        }
    }
}
