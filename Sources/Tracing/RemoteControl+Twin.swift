internal import CLinux
public import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// A copy of a process that shares its private memory copy-on-write, and does nothing but wait: the process may run on
/// while the copy's memory is read, and it is as it was at the moment of the copy.
///
/// The process forks a helper, which makes the twin as a second process in its own memory, and ends; the process waits
/// for the helper in the same batch. So the twin is nobody's child whom the process could come across: not in a wait,
/// not as a signal, not among its children. It has all signals blocked, no descriptor but the channel, and a session of
/// its own. When the other end of the channel is gone, because this value goes away or Apus is dead, it exits.
public final class Twin {
    /// Whose memory it has.
    public let original: Int32
    public let pid: Int32
    private let lifeline: OwnedDescriptor

    init(of original: Int32, pid: Int32, lifeline: consuming OwnedDescriptor) {
        self.original = original
        self.pid = pid
        self.lifeline = lifeline
    }
}

@available(*, unavailable)
extension Twin: Sendable {}

extension RemoteControl {
    /// In the mailbox, before the batch of the leader.
    private enum TwinLayout {
        static let helperControl = 1024
        static let twinControl = 1216
        static let commit = 1408
        static let helperBatch = 1536
        static let twinBatch = 2048
    }

    /// Makes a twin. The process is as before afterwards, but for the time and the memory that its last waited-for
    /// child has taken (getrusage(2), RUSAGE_CHILDREN).
    ///
    /// - Precondition: no process above it in the tree adopts orphans (PR_SET_CHILD_SUBREAPER, the init of a pid
    ///   namespace): it would come across the twin; and no seccomp filter, which would judge the twin's calls.
    /// - Returns: nil where the kernel refuses: no memory, or a limit of processes.
    public func makeTwin() throws(Problem) -> Twin? {
        try prepareTwin()
        let (waitAll, none): (Int, Batch.Argument) = (0x4000_0000, 0)
        var batch = Batch()
        let helper = batch.call(
            Int(SYS_clone), none, none, none, none, none, expecting: 1...Int64.max,
            for: "make a helper", child: mailbox + TwinLayout.helperControl)
        batch.call(
            Int(SYS_wait4), .result(helper), none, .int(waitAll), none, expecting: 1...Int64.max,
            for: "wait for the helper")
        let result = try run(batch)
        if result.failedCall == helper { return nil }
        try result.check()
        let place = mailbox + (TwinLayout.helperBatch + Batch.resultPlace(of: 0))
        let pid = try read(place, count: 8).littleEndian(Int64.self, at: 0)
        guard pid > 0 else { return nil }
        let twin = Twin(of: process.pid, pid: Int32(truncatingIfNeeded: pid), lifeline: try copyOfLifeline())
        try awaitSolitude(of: twin)
        return twin
    }

    private func prepareTwin() throws(Problem) {
        if !entered { try enter() }
        let own = try ownEnd()
        var twin = Batch()
        twin.call(Int(SYS_setsid), expecting: Batch.anything)
        if own > 0 {
            twin.call(Int(SYS_close_range), 0, .value(UInt64(own) - 1), 0, expecting: Batch.anything)
        }
        twin.call(
            Int(SYS_close_range), .value(UInt64(own) + 1), .value(UInt64(UInt32.max)), 0, expecting: Batch.anything)
        // No event is asked for: what is told all the same is that the other end is gone (poll(2), POLLHUP).
        var wait: [UInt8] = []
        wait.append(littleEndian: own)
        wait.append(littleEndian: UInt32(0))
        let descriptors = twin.buffer(wait)
        twin.call(Int(SYS_ppoll), .address(descriptors), 1, 0, 0, 8, expecting: Batch.anything)
        twin.call(Int(SYS_exit_group), 0, expecting: Batch.anything)
        var helper = Batch()
        let sharingMemory = 0x100  // CLONE_VM
        helper.call(
            Int(SYS_clone), .int(sharingMemory), 0, 0, 0, 0, expecting: Batch.anything,
            child: mailbox + TwinLayout.twinControl)
        helper.call(Int(SYS_exit_group), 0, expecting: Batch.anything)
        try place(twin, at: TwinLayout.twinBatch, control: TwinLayout.twinControl)
        try place(helper, at: TwinLayout.helperBatch, control: TwinLayout.helperControl)
    }

    /// A second descriptor of Apus' end of the channel, whose other end the twin shares with the process.
    private func copyOfLifeline() throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            return try Files.duplicate(lifeline)
        } catch {
            throw refused(
                "fcntl(F_DUPFD_CLOEXEC)", -Int64(error.rawValue), "Raise Apus' limit of open files (ulimit -n)")
        }
    }

    func place(_ batch: Batch, at offset: Int, control: Int) throws(Problem) {
        try write(batch.encoded(at: mailbox + offset), at: mailbox + offset)
        var block = ControlBlock()
        block.records = mailbox + offset
        block.count = batch.calls.count
        block.commit = mailbox + TwinLayout.commit
        block.channel = mailbox + Layout.descriptors
        try write(block.encoded, at: mailbox + control)
    }

    /// Waits until the twin holds nothing but its end of the channel: an end of a pipe in it would be seen by others.
    private func awaitSolitude(of twin: Twin) throws(Problem) {
        let limit = Deadline(nanoseconds: 2_000_000_000)
        let directory = ProcessDirectory(twin.pid)
        while true {
            guard let open = try? directory.descriptors() else { break }
            if open.count <= 1 { return }
            if limit.isPast { break }
            usleep(20)
        }
        throw Problem(
            .remoteCallFailed, "its twin (\(twin.pid)) does not get ready", object: .init(pid: process.pid),
            remedy: "Look in the kernel log whether it was killed, and try again")
    }
}
