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
    private let leader: Tracee
    let vdso: Range<RemoteAddress>
    /// The process is a 32-bit program.
    public let isCompat: Bool
    public let memory: ProcessMemory
    public var pid: Int32 { process.pid }
    private let cave: CaveLayout
    private let original: [UInt8]
    var deadline: Deadline

    var mailbox = RemoteAddress(0)
    private var channel: Channel?
    var entered = false
    /// Apus' end of the channel, -1 where there is none.
    var lifeline: Int32 { channel?.raw ?? -1 }
    /// Descriptors of the channel that are open in the process: its own end, and at first the other.
    private var theirs: [UInt32] = []
    /// The leader is on the trampoline, and not stopped.
    private var isRunning = false

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
        let form = isCompat ? CaveLayout.Form.compat : .wide
        let tail = VdsoTail(image: image, base: vdso.lowerBound)
        // Nothing but Apus' own code is there. To overwrite it would take the way back from the thread.
        let place = tail.start..<vdso.upperBound
        let threads = process.threads + others.flatMap(\.threads)
        if let thread = threads.first(where: { place.contains(RemoteAddress($0.registers.rip)) }) {
            throw Problem(
                .targetHealing, "thread \(thread.tid) is on its way back from an earlier Apus that was killed",
                object: .init(pid: thread.pid),
                remedy: thread.groupStop == nil
                    ? "Try again" : "Continue the stopped process (kill -CONT), then try again")
        }
        guard tail.count >= form.size else {
            throw Problem(
                .noRoomForCode, "its vdso has \(tail.count) unused bytes where Apus needs \(form.size)",
                object: .init(pid: process.pid, address: vdso.lowerBound.raw),
                remedy: "Report the kernel's version; another kernel will do")
        }
        cave = CaveLayout(base: tail.start, form: form)
        let offset = Int(tail.start.raw - vdso.lowerBound.raw)
        original = Array(image[offset..<offset + form.size])
    }

    deinit {
        // An error on the way: the process is put back in order; where that fails too, closing the channel does it.
        if entered { try? release() }
    }

    // MARK: Entering

    /// Takes the process under control: makes the mailbox and the channel in it.
    func enter() throws(Problem) {
        Steps.take()
        try write(cave.code, at: cave.base)
        try save(leader, slot: 0)
        entered = true
        try makeMailbox()
        if isCompat { try write(Trampoline.core, at: mailbox + Layout.core) }
        try makeChannel()
        // The process's own copy of Apus' end has to go before anything else: while it is open the thread would wait
        // for itself.
        var first = Batch()
        let other = try read(mailbox + (Layout.descriptors + 4), count: 4).littleEndian(UInt32.self, at: 0)
        first.call(Int(SYS_close), .value(UInt64(other)))
        let base = mailbox + Layout.batch
        try write(first.encoded(at: base), at: base)
        isRunning = true
        try start(leader, slot: 0, batch: base, count: 1)
        try awaitReport(slot: 0)
        theirs.removeLast()
    }

    private func makeMailbox() throws(Problem) {
        let size = UInt64(Self.mailboxSize)
        // A 32-bit program has all of its memory below 4 GiB, and calls of its kind reach nothing else (MAP_32BIT).
        let below: Int32 = isCompat ? 0x40 : 0
        let protection = PROT_READ | PROT_WRITE | (isCompat ? PROT_EXEC : 0)
        let result = try single(
            Int(SYS_mmap),
            [0, size, UInt64(protection), UInt64(MAP_SHARED | MAP_ANONYMOUS | below), UInt64.max, 0],
            undo: .init(mappingLength: size))
        guard result > 0 else { throw refused("mmap", result, "Raise its RLIMIT_AS (prlimit --as) and try again") }
        mailbox = RemoteAddress(UInt64(result))
    }

    private func makeChannel() throws(Problem) {
        let descriptors = mailbox + Layout.descriptors
        var initial: [UInt8] = []
        initial.append(littleEndian: UInt64.max)
        initial.append(littleEndian: UInt64(0))
        initial.append(littleEndian: UInt64(1))
        try write(initial, at: descriptors)
        var undo = Undo()
        undo.mailbox = mailbox
        undo.descriptors = descriptors
        let result = try single(
            Int(SYS_socketpair),
            [UInt64(AF_UNIX), UInt64(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, descriptors.raw],
            undo: undo)
        guard result == 0 else {
            throw refused(
                "socketpair", result,
                result == -Int64(EACCES)
                    ? "A security module forbids it Unix sockets: add \"network unix,\" to its AppArmor profile, or what"
                        + " SELinux asks for"
                    : "Raise its limit of open files (prlimit --nofile) and try again")
        }
        let pair = try read(descriptors, count: 8)
        theirs = [pair.littleEndian(UInt32.self, at: 0), pair.littleEndian(UInt32.self, at: 4)]
        channel = try Channel(takingFrom: leader.tid, of: process.pid, pair.littleEndian(Int32.self, at: 4))
    }

    /// What has to be undone in the process if Apus dies during a single call.
    private struct Undo {
        var mappingLength: UInt64 = 0
        var mailbox = RemoteAddress(0)
        var descriptors = RemoteAddress(0)
    }

    /// Has the leader make one system call between two stops.
    private func single(_ number: Int, _ arguments: [UInt64], undo: Undo) throws(Problem) -> Int64 {
        var registers = leader.registers
        var values = arguments + Array(repeating: 0, count: 6 - arguments.count)
        registers.rdi = values.removeFirst()
        registers.rsi = values.removeFirst()
        registers.rdx = values.removeFirst()
        registers.r10 = values.removeFirst()
        registers.r8 = values.removeFirst()
        registers.r9 = values.removeFirst()
        registers.rax = UInt64(number)
        registers.cs = Self.codeSegment
        registers.rip = cave.single.raw
        registers.rsp = (cave.resume(0) + Trampoline.resumeRegistersOffset).raw
        registers.rbx = undo.mailbox.raw
        registers.rbp = undo.mailbox.raw == 0 ? 0 : UInt64(Self.mailboxSize)
        registers.r13 = undo.mappingLength
        registers.r15 = undo.descriptors.raw
        registers.orig_rax = UInt64.max
        Steps.take()
        try leader.assume(registers, mask: UInt64.max, through: wayBack(of: leader, slot: 0))
        try leader.resume(.toSystemCall)
        try leader.waitForSystemCallStop(deadline)
        try leader.resume(.toSystemCall)
        try leader.waitForSystemCallStop(deadline)
        roundTrips += 2
        return Int64(bitPattern: try leader.currentRegisters().rax)
    }

    /// Registers with which a thread becomes what it was by itself, once `save` has been called for it. A thread that
    /// is counted among the users of the mailbox counts itself out on the way, and unmaps it if it is the last.
    private func wayBack(of thread: Tracee, slot: Int) -> user_regs_struct {
        var registers = thread.registers
        registers.cs = Self.codeSegment
        registers.rip = (cave.resume(slot) + (slot == 0 ? Trampoline.resumeRegistersOffset : 0)).raw
        if slot != 0 {
            registers.rax = UInt64(SYS_munmap)
            registers.rdi = mailbox.raw
            registers.rsi = UInt64(Self.mailboxSize)
            registers.r9 = (mailbox + Layout.users).raw
        }
        registers.orig_rax = UInt64.max
        return registers
    }

    /// Stores where a thread goes on when it leaves by itself.
    private func save(_ thread: Tracee, slot: Int) throws(Problem) {
        let r = InterruptedCall.resumable(thread.registers)
        var bytes: [UInt8] = []
        for value in [
            r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx, r.rsi, r.rdi,
            Self.jumpTarget(r), r.eflags, r.rsp, thread.signalMask,
        ] { bytes.append(littleEndian: value) }
        try write(bytes, at: cave.saved(slot))
    }

    /// Sets a thread going on the trampoline.
    private func start(_ thread: Tracee, slot: Int, batch: RemoteAddress, count: Int) throws(Problem) {
        let control = mailbox + Layout.control(slot)
        // Only the leader cleans up: it closes the channel; the last to leave unmaps the mailbox.
        if slot == 0 {
            var cleanup = Batch()
            cleanup.call(Int(SYS_close), .value(UInt64(try ownEnd())))
            try write(cleanup.encoded(at: mailbox + Layout.cleanup), at: mailbox + Layout.cleanup)
        }
        var block: [UInt8] = []
        for value in [
            batch.raw, UInt64(count), (mailbox + Layout.cleanup).raw, slot == 0 ? 1 : 0, 0,
            (mailbox + Layout.descriptors).raw, 0, mailbox.raw, UInt64(Self.mailboxSize),
            (mailbox + Layout.users).raw, cave.resume(slot).raw, UInt64(slot),
        ] { block.append(littleEndian: value) }
        try write(block, at: control)
        var registers = thread.registers
        registers.cs = Self.codeSegment
        registers.rip = (isCompat ? mailbox + Layout.core : cave.core).raw
        registers.r12 = control.raw
        registers.orig_rax = UInt64.max
        try thread.assume(registers, mask: UInt64.max, through: wayBack(of: thread, slot: slot)) { () throws(Problem) in
            if slot != 0 { try setUsers(2) }
        }
        try thread.resume(.run)
    }

    func ownEnd() throws(Problem) -> UInt32 {
        try read(mailbox + Layout.descriptors, count: 4).littleEndian(UInt32.self, at: 0)
    }

    private func setUsers(_ count: UInt64) throws(Problem) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: count)
        try write(bytes, at: mailbox + Layout.users)
    }

    // MARK: Batches

    /// Has the process make the calls of a batch, in its leader.
    ///
    /// - Returns: what came of each call, up to the first whose result was not expected.
    public func run(_ batch: Batch) throws(Problem) -> BatchResult {
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
        try awaitReport(slot: 0)
        return try collect(batch, at: base, slot: 0)
    }

    /// Has another thread of the process make the calls of a batch, once: it is stopped as it was afterwards.
    public func run(_ batch: Batch, on thread: Tracee) throws(Problem) -> BatchResult {
        if thread === leader { return try run(batch) }
        if isCompat { return try runAlone(batch, on: thread) }
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

    private func awaitReport(slot: UInt64, on thread: Tracee? = nil) throws(Problem) {
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

    // MARK: Leaving

    /// Puts the process back as it was: descriptors, mappings, registers, signal mask. It stays stopped.
    public func release() throws(Problem) {
        guard entered else { return }
        // Putting things back has its own time, and no wish to stop ends it.
        let before = deadline
        deadline = Deadline(nanoseconds: 2_000_000_000)
        defer { deadline = before }
        if isRunning { try leader.interrupt(deadline) }
        isRunning = false
        var undo = Undo()
        undo.mailbox = mailbox
        while let descriptor = theirs.last {
            _ = try single(Int(SYS_close), [UInt64(descriptor)], undo: undo)
            theirs.removeLast()
        }
        if mailbox.raw != 0 {
            _ = try single(Int(SYS_munmap), [mailbox.raw, UInt64(Self.mailboxSize)], undo: Undo())
            mailbox = RemoteAddress(0)
        }
        // From a stop within the handling of signals the kernel restarts an interrupted system call itself, and
        // gives a signal that came meanwhile the last word on it.
        try leader.interruptBeforeUserMode(deadline)
        Steps.take()
        try leader.assume(leader.registers, mask: leader.signalMask, through: wayBack(of: leader, slot: 0))
        try write(original, at: cave.base)
        channel = nil
        entered = false
    }

    /// What the death of Apus looks like from the process: nobody holds the channel, nobody traces.
    func abandonForTest() {
        entered = false
        try? leader.interrupt(deadline)
        channel = nil
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
