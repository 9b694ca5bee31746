internal import CLinux
internal import CTrampoline
public import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// Control over a frozen process: Apus has it make system calls, in batches, and the process can always go back to
/// what it was, even if Apus is killed.
///
/// The code lies in the unused tail of the vdso, the calls in a mapping made for them. A thread under control waits in
/// recvfrom(2) on a socket whose other end Apus alone holds. When that end is gone, the thread closes and unmaps what
/// was made for Apus, puts its signal mask and registers back and goes on. Nothing of the program's own memory is
/// written, not even below the stack pointer, and no register file is replaced: the extended state and the kernel's
/// record of an interrupted sleep stay untouched.
public final class RemoteControl {
    let process: FrozenProcess
    /// The thread that makes the calls of the process.
    let leader: Tracee
    let vdso: Range<RemoteAddress>
    /// The process is a 32-bit program.
    public let isCompat: Bool
    public let memory: ProcessMemory
    public var pid: Int32 { process.pid }
    let cave: CaveLayout
    /// What was in the cave.
    let original: [UInt8]
    var deadline: Deadline

    var mailbox = RemoteAddress(0)
    var channel: Channel?
    /// How far it has come on the way under control, and out of it.
    var stage = Stage.outside
    /// It can be told what to do.
    var entered: Bool { stage == .inside }
    /// Apus' end of the channel, -1 where there is none.
    var lifeline: Int32 { channel?.raw ?? -1 }
    /// Descriptors of the channel that are open in the process: its own end, and at first the other.
    var theirs: [UInt32] = []
    /// Until when things have to be put back, once that has begun.
    var timeToLeave: Deadline?

    /// How many times a thread was set going and waited for.
    public internal(set) var roundTrips = 0

    /// Room for the batches of everything that a process is asked.
    static let mailboxSize = 256 * 1024
    /// In the mailbox: the control blocks of both slots, the descriptors of the channel, the count of threads, the
    /// batch of the leader, the batch of another thread.
    enum Layout {
        static func control(_ slot: Int) -> Int { slot * 192 }
        static let descriptors = 384
        static let users = 400
        static let cleanup = 512
        static let batch = 4096
        static let otherBatch = RemoteControl.mailboxSize - 32 * 1024
        /// The interpreter, where the vdso has no room for it: then there is no other thread either.
        static let core = otherBatch
    }

    /// For tests: Apus does with the room that the vdso of some kernels leaves, on any kernel.
    private static let takesLittleRoom = unsafe getenv("APUS_TEST_NARROW_VDSO") != nil

    /// Prepares a process; nothing runs in it yet.
    ///
    /// - Parameters:
    ///   - process: frozen, with at least one live thread.
    ///   - others: frozen processes that have the same memory.
    ///   - vdso: where its vdso is mapped.
    /// - Throws: `no-room-for-code` where the vdso's tail is too short.
    public convenience init(
        _ process: FrozenProcess, sharingMemoryWith others: [FrozenProcess] = [], vdso: Range<RemoteAddress>?,
        deadline: Deadline
    ) throws(Problem) {
        try self.init(process, by: process.threads.first, sharingMemoryWith: others, vdso: vdso, deadline: deadline)
    }

    init(
        _ process: FrozenProcess, by leader: Tracee?, sharingMemoryWith others: [FrozenProcess] = [],
        vdso: Range<RemoteAddress>?, deadline: Deadline
    ) throws(Problem) {
        guard let leader else {
            throw Problem(
                .targetDied, "it has no thread left", object: .init(pid: process.pid),
                remedy: "It ended while it was being dumped; start it anew")
        }
        self.process = process
        self.leader = leader
        self.deadline = deadline
        memory = try ProcessMemory(pid: leader.tid)
        guard let vdso else {
            throw Problem(
                .noRoomForCode, "it has no vdso", object: .init(pid: process.pid),
                remedy: "Boot without vdso=0 and start the program anew")
        }
        let image: [UInt8]
        do throws(Errno) {
            image = try memory.read(vdso.lowerBound, count: Int(vdso.upperBound.raw - vdso.lowerBound.raw))
        } catch {
            throw Problem(
                .memoryUnreachable, "its vdso cannot be read", object: .init(pid: process.pid),
                cause: .init(error, attempted: "read of /proc/\(process.pid)/mem"),
                remedy: "Run Apus as root, or with CAP_SYS_PTRACE in the process's user namespace")
        }
        self.vdso = vdso
        isCompat = try RemoteControl.isCompat(process, vdso)
        let tail = VdsoTail(image: image, base: vdso.lowerBound)
        let threads = process.threads + others.flatMap(\.threads)
        let wayOut = threads.contains { $0.dispatch != nil } ? Trampoline.dispatching : Trampoline.resume
        let hasRoom = tail.count >= CaveLayout.Form.wide.size(wayOut) && !Self.takesLittleRoom
        let form = isCompat ? CaveLayout.Form.compat : hasRoom ? .wide : .narrow
        // Nothing but Apus' own code is there. To overwrite it would take the way back from the thread.
        let place = tail.start..<vdso.upperBound
        if let thread = threads.first(where: { place.contains(RemoteAddress($0.registers.rip)) }) {
            throw Problem(
                .targetHealing, "thread \(thread.tid) is on its way back from an earlier Apus that was killed",
                object: .init(pid: thread.pid),
                remedy: thread.groupStop == nil
                    ? "Try again" : "Continue the stopped process (kill -CONT), then try again")
        }
        guard tail.count >= form.size(wayOut) else {
            throw Problem(
                .noRoomForCode, "its vdso has \(tail.count) unused bytes where Apus needs \(form.size(wayOut))",
                object: .init(pid: process.pid, address: vdso.lowerBound.raw),
                remedy: "Report the kernel's version; another kernel will do")
        }
        cave = CaveLayout(base: tail.start, form: form, wayOut: wayOut)
        let offset = Int(tail.start.raw - vdso.lowerBound.raw)
        original = Array(image[offset..<offset + form.size(wayOut)])
    }

    deinit {
        // An error on the way: the process is put back in order; where that fails too, closing the channel does it.
        if stage != .outside { try? release() }
    }

    // MARK: Batches

    /// Has the process make the calls of a batch, in its leader.
    ///
    /// - Returns: what came of each call, up to the first whose result was not expected.
    public func run(_ batch: Batch) throws(Problem) -> BatchResult {
        try post(batch)
        return try answer(to: batch)
    }

    /// Has the process begin with the calls of a batch, in its leader. Several processes can be at work so.
    public func post(_ batch: Batch) throws(Problem) {
        if !entered { try enter() }
        precondition(batch.encodedSize < Layout.otherBatch - Layout.batch, "the batch outgrows the mailbox")
        let base = mailbox + Layout.batch
        try write(batch.encoded(at: base), at: base)
        var header: [UInt8] = []
        header.append(littleEndian: base.raw)
        header.append(littleEndian: UInt64(batch.calls.count))
        try write(header, at: mailbox + Layout.control(0))
        Steps.take()
        try channel?.command(pid: process.pid)
    }

    /// Waits until the process is done with the batch that was posted last.
    public func answer(to batch: Batch) throws(Problem) -> BatchResult {
        try awaitReport(slot: 0)
        return try collect(batch, at: mailbox + Layout.batch, slot: 0)
    }

    /// Has another thread of the process make the calls of a batch, once: it is stopped as it was afterwards.
    public func run(_ batch: Batch, on thread: Tracee) throws(Problem) -> BatchResult {
        if thread === leader { return try run(batch) }
        if cave.form.slots == 1 { return try runAlone(batch, on: thread) }
        if !entered { try enter() }
        precondition(batch.encodedSize < Self.mailboxSize - Layout.otherBatch, "the batch outgrows the mailbox")
        let base = mailbox + Layout.otherBatch
        try save(thread, slot: 1)
        try write(batch.encoded(at: base), at: base)
        try start(thread, slot: 1, batch: base, count: batch.calls.count)
        try awaitReport(slot: 1, on: thread)
        try thread.interrupt(deadline)
        Steps.take()
        try thread.assume(
            thread.registers, mask: thread.signalMask, through: wayBack(of: thread, slot: 1))
        try setUsers(1)
        return try collect(batch, at: base, slot: 1)
    }

    func awaitReport(slot: UInt64, on thread: Tracee? = nil) throws(Problem) {
        let tracee = thread ?? leader
        roundTrips += 1
        while true {
            switch channel?.report(atMost: deadline.remaining(atMost: 20_000_000)) {
            case .token(let token) where token == slot: return
            case .token, .nothing, nil: try tracee.dealWithInterruption()
            case .gone:
                try tracee.dealWithInterruption()
                throw refused("recvfrom", -Int64(ECONNRESET), "Try again")
            }
            if deadline.isOver {
                throw TreeFreezer.timeout(pid: process.pid, tid: tracee.tid)
            }
        }
    }

    private func collect(_ batch: Batch, at base: RemoteAddress, slot: Int) throws(Problem) -> BatchResult {
        let left = try read(mailbox + (Layout.control(slot) + 8), count: 8).littleEndian(UInt64.self, at: 0)
        let bytes = try read(base, count: batch.encodedSize)
        return BatchResult(batch, bytes: bytes, left: Int(left), pid: process.pid)
    }
}

@available(*, unavailable)
extension RemoteControl: Sendable {}

extension Problem.Code {
    public static let foreignArchitecture: Self = "foreign-architecture"
    /// A process that puts itself in order after the end of an Apus that had borrowed it.
    public static let targetHealing: Self = "target-healing"
    public static let noRoomForCode: Self = "no-room-for-code"
    public static let remoteCallFailed: Self = "remote-call-failed"
}
