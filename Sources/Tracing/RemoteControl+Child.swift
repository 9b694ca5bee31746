internal import CLinux
public import Diagnostics
internal import Linux

/// Calls that would change the process that makes them, made by a child in its place.
extension RemoteControl {
    /// In the mailbox, behind what a twin takes and before the batch of the leader.
    private enum ChildLayout {
        static let batch = 3072
        static let control = 3840
        /// At the end of the room for the leader's batch, which is not so long when this is used.
        static let longBatch = Layout.otherBatch - 4096
        static let longControl = longBatch - 256
    }

    /// Adds to a batch of the leader that a child makes calls, in the process's own memory and with its own descriptors,
    /// and ends; the leader waits for it. To be added last: where no child can be made, the batch ends there.
    ///
    /// - Precondition: the process has no seccomp filters: they would judge the child's calls.
    /// - Returns: the index of the call that makes the child, and what its calls are when they are to be collected.
    public func addChild(making calls: Batch, to batch: inout Batch) throws(Problem) -> (maker: Int, calls: Batch) {
        if !entered { try enter() }
        var calls = calls
        calls.call(Int(SYS_exit_group), 0, expecting: Batch.anything)
        precondition(calls.encodedSize <= ChildLayout.control - ChildLayout.batch, "there is room for a few calls")
        try place(calls, at: ChildLayout.batch, control: ChildLayout.control)
        return (addMaker(control: ChildLayout.control, to: &batch), calls)
    }

    /// Has a child of one thread make calls, and waits for its end.
    ///
    /// - Precondition: as above; the process is a 64-bit one.
    /// - Returns: nil where no child can be made.
    public func run(_ calls: Batch, inChildOf thread: Tracee) throws(Problem) -> BatchResult? {
        if !entered { try enter() }
        var calls = calls
        calls.call(Int(SYS_exit_group), 0, expecting: Batch.anything)
        precondition(calls.encodedSize <= 4096, "there is room for some calls")
        try place(calls, at: ChildLayout.longBatch, control: ChildLayout.longControl)
        var batch = Batch()
        _ = addMaker(control: ChildLayout.longControl, to: &batch)
        guard try run(batch, on: thread).failedCall == nil else { return nil }
        return try collect(calls, at: ChildLayout.longBatch)
    }

    private func addMaker(control: Int, to batch: inout Batch) -> Int {
        // CLONE_VM, CLONE_FS, CLONE_FILES, and no signal at its end.
        let (sharing, waitAll): (Int, Int) = (0x100 | 0x200 | 0x400, 0x4000_0000)
        let maker = batch.call(
            Int(SYS_clone), .int(sharing), 0, 0, 0, 0, expecting: 1...Int64.max, for: "make a child",
            child: mailbox + control)
        batch.call(
            Int(SYS_wait4), .result(maker), 0, .int(waitAll), 0, expecting: Batch.anything, for: "wait for the child")
        return maker
    }

    /// What came of the calls of a child, once the batch has been run.
    public func collect(ofChild calls: Batch) throws(Problem) -> BatchResult {
        try collect(calls, at: ChildLayout.batch)
    }

    private func collect(_ calls: Batch, at place: Int) throws(Problem) -> BatchResult {
        let bytes = try read(mailbox + place, count: calls.encodedSize)
        return BatchResult(calls, bytes: bytes, left: 0, pid: process.pid)
    }
}
