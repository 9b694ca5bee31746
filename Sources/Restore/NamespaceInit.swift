public import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// The init of a pid namespace for a tree that comes from another host: a program of its own, which takes the tree there.
///
/// A copy of a process (fork(2)) could not: several threads work at a migration, and in a copy Swift's locks do not know who holds them.
/// So the program that the tree was announced to (the one *outside*) starts itself once more, in a new namespace, and waits there until the
/// tree runs. Until then the one inside ends with it, and everything in the namespace with the one inside.
public struct NamespaceInit: Sendable {
    /// The number of the descriptor over which the one inside finds the one outside.
    public static let link: Int32 = 5

    /// The pid that it has outside, and when it was made, in ticks since the start of the system.
    public let outer: (pid: Int32, start: UInt64)
    private let namespace: PidNamespace

    // MARK: Outside

    /// Starts the program, and waits until the tree runs.
    ///
    /// - Parameters:
    ///   - program: with its arguments.
    ///   - descriptors: that it gets beside the link, by their numbers there.
    ///   - message: what it is to read, and from which descriptor.
    ///   - leave: closes what only the one inside is to have.
    /// - Returns: its exit status: 0 as soon as the tree runs.
    /// - Throws: `restore-failed`.
    public static func run(
        _ program: [String], descriptors: [(there: Int32, here: Int32)],
        message: (there: Int32, bytes: [UInt8]), leave: () -> Void
    ) throws(Problem) -> Int32 {
        let (pid, outside): (Int32, Int32)
        do throws(Errno) {
            let pair = try PidNamespace.makeLink()
            outside = pair.outside
            let note = try Files.memory(named: "apus-message", flags: 0)
            try Files.write(note.raw, message.bytes, at: 0)
            // Out of the way of the numbers that it finds.
            let moved = try (descriptors + [(message.there, note.raw), (link, pair.inside)]).map { one throws(Errno) in
                (there: one.there, here: try Files.duplicate(one.here, from: 10).release())
            }
            try Processes.unshare(.pidsOfChildren)
            // What is typed on the terminal of a listener is not for the tree.
            pid = try Subprocess.spawn(program, group: true, descriptors: moved)
            for one in moved { try Files.close(one.here) }
            try Files.close(pair.inside)
        } catch {
            throw PidNamespace.refusal(error, "unshare(CLONE_NEWPID), posix_spawn")
        }
        leave()
        return try PidNamespace.watch(pid, outside, detached: true)
    }

    // MARK: Inside

    /// Takes its place: to be called at first.
    ///
    /// - Throws: `restore-failed`.
    public init() throws(Problem) {
        do throws(Errno) {
            namespace = PidNamespace(link: try Files.duplicate(Self.link, from: 6).release())
            try Files.close(Self.link)
            // This is the /proc outside yet, where it leads to the pid outside.
            guard let pid = Int32(String(decoding: try Files.readLink("/proc/self"), as: UTF8.self)),
                let start = try? ProcessDirectory(pid).stat().startTime
            else { throw .noSuchProcess }
            outer = (pid, start)
            try Processes.setDeathSignal(SIGKILL)
            try Processes.mountOwnProc()
            // The threads of Apus are to have numbers that no tree has: those of one from a namespace are low.
            let largest = Int(
                String(decoding: try Files.contents(of: "/proc/sys/kernel/pid_max").dropLast(), as: UTF8.self))
            try Processes.setLastPid(max((largest ?? 32768) - 1000, 300))
        } catch {
            throw PidNamespace.refusal(error, "prctl(PR_SET_PDEATHSIG), mount of /proc")
        }
    }

    /// From here on it does not end with the one outside.
    public func outlive() { try? Processes.setDeathSignal(0) }

    /// The tree runs: tells the one outside, and is the init of the namespace until the last process in it has ended.
    public func serve(root: Int32) -> Never { namespace.serve(root: root) }
}
