internal import CTrampoline
internal import Linux
public import SystemPackage

/// A process of Apus' own that does nothing, and that every other process with the same user and group may look at
/// (PTRACE_MODE_READ_REALCREDS of ptrace(2)): it has no capabilities, it may be dumped, and it has none of Apus' memory.
///
/// It ends with this value, and with Apus.
public final class Bystander {
    public let pid: Int32
    private let lifeline: OwnedDescriptor

    /// Starts one. It is ready when this returns.
    ///
    /// - Throws: EPERM where Apus may not act for that user; else what keeps a process from being started.
    public init(user: UInt32, group: UInt32) throws(Errno) {
        let ends = try Files.socketPair()
        let program = try Files.memory(named: "apus-bystander", flags: MemoryFileFlag.closeOnExec)
        try Files.write(program.raw, Husk.program(Trampoline.bystander, at: RemoteAddress(0x40_0000)))
        // Above the number that the lifeline gets.
        let executable = try Files.duplicate(program.raw, from: 3)
        let other = try Files.duplicate(ends.second.raw, from: 3)
        let pid = apus_spawn_bystander(executable.raw, other.raw, user, group)
        guard pid > 0 else { throw Errno(rawValue: -pid) }
        self.pid = pid
        lifeline = ends.first
        try ends.second.close()
        try other.close()
        // Nothing comes where it ended on the way, and another number where it could not give up its capabilities.
        guard try Files.readSome(lifeline.raw, atMost: 1) == [0] else { throw .notPermitted }
    }

    deinit {
        try? Processes.kill(pid, signal: 9)
        _ = try? Processes.wait(for: pid)
    }
}

@available(*, unavailable)
extension Bystander: Sendable {}
