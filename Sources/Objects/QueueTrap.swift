internal import CLinux
internal import Diagnostics
internal import Linux
internal import SystemPackage
internal import Tracing

/// Takes the notification of a message from a process before it can see it, and registers the process anew.
///
/// The process does this itself, all signals blocked: the signal is taken by rt_sigtimedwait(2), or the kernel's message
/// from the socket, with the value that is to be found out; and that is registered again. Signals below SIGRTMIN that are pending
/// already are not queued twice, so none of that number may be. One that somebody outside of the tree sends within the
/// microsecond between the notification and its being taken would be merged with it, as with any other that is pending.
struct QueueTrap {
    private let manner: QueueNotification.Manner?
    private let seen: SeenDescriptor
    private let pending: UInt64
    /// The struct sigevent that is registered again.
    private let event: Batch.Buffer
    /// What is taken: a siginfo_t, or what the kernel sends.
    private let caught: Batch.Buffer
    private var taking = 0, registering = 0

    /// sizeof(struct sigevent); of siginfo_t; where si_code and si_value stand in that.
    private static let (eventSize, infoSize, codePlace, valuePlace) = (64, 128, 8, 24)
    private static let valueSize = 8
    private static let ofQueue: Int32 = -3  // SI_MESGQ
    private static let (bySignal, silent, byThread): (Int32, Int32, Int32) = (0, 1, 2)  // SIGEV_*
    private static let again: Int32 = 11  // EAGAIN

    /// - Parameters:
    ///   - pending: which signals are pending for the process and the thread that is asked.
    ///   - batch: the one that looks into the queue.
    /// - Throws: `under-way` where the signal could not be told from another, or could not be queued.
    init(
        _ manner: QueueNotification.Manner?, _ seen: SeenDescriptor, pending: UInt64, in batch: inout Batch
    ) throws(Problem) {
        (self.manner, self.seen, self.pending) = (manner, seen, pending)
        event = batch.space(Self.eventSize)
        caught = batch.space(Self.infoSize)
        guard case .signal(let number, _) = manner, number > 0 else { return }
        if pending & Self.bit(number) != 0 {
            throw Problem(
                .underWay,
                "the process is to be notified of a message in the queue by signal \(number), and one is pending already",
                object: seen.object, remedy: "Try again when the process has taken it")
        }
        guard let signals = (try? ProcessDirectory(seen.pid).status())?.signals, signals.queued < signals.queueLimit
        else {
            throw Problem(
                .underWay,
                "the process is to be notified of a message in the queue by a signal, and no more can be queued",
                object: seen.object, remedy: "Try again, or raise the limit (prlimit --sigpending --pid \(seen.pid))")
        }
    }

    /// Whether it has to be used up to be known.
    var isNeeded: Bool {
        switch manner {
        case nil, .silent: false
        case .signal(let number, _): number > 0
        case .message: true
        }
    }

    private static func bit(_ signal: Int32) -> UInt64 { 1 << UInt64(signal - 1) }

    // MARK: The calls

    /// What must be so beforehand, or the batch ends.
    func prepare(_ batch: inout Batch) {
        guard case .signal(let number, _) = manner, number > 0 else { return }
        // It has to be able to copy the value.
        copy(8...8, in: &batch)
        // A futex is not waited for where the number is another: the signals that are pending are those from before.
        let (set, never) = (batch.space(8), batch.space(16))
        let half = Int(number - 1) / 32
        batch.call(Int(SYS_rt_sigpending), .address(set), 8, for: "ask which signals are pending")
        let (privateWait, timedOut): (Int, Int64) = (128, -110)  // FUTEX_WAIT | FUTEX_PRIVATE_FLAG, ETIMEDOUT
        batch.call(
            Int(SYS_futex), .address(set.part(4 * half, 4)), .int(privateWait),
            .value(pending >> UInt64(32 * half) & 0xffff_ffff), .address(never), 0, 0, expecting: timedOut...timedOut,
            for: "see that no signal has come")
    }

    /// Takes what the message has brought.
    mutating func spring(_ batch: inout Batch) {
        switch manner {
        case .signal(let number, _) where number > 0:
            let (set, never) = (batch.space(8), batch.space(16))
            batch.store(Int(bitPattern: UInt(Self.bit(number))), in: set)
            taking = batch.call(
                Int(SYS_rt_sigtimedwait), .address(set), .address(caught), .address(never), 8,
                expecting: Batch.anything, for: "take the signal")
            copy(Batch.anything, in: &batch)
        case .message(_, let socket):
            let doNotWait = 0x40  // MSG_DONTWAIT
            taking = batch.call(
                Int(SYS_recvfrom), .signed(socket), .address(caught), .int(QueueNotification.cookieSize),
                .int(doNotWait), 0, 0, expecting: Batch.anything, for: "take the kernel's message")
        case nil, .silent, .signal: break
        }
    }

    /// Copies the value of the signal that was taken into what is registered.
    private func copy(_ expected: ClosedRange<Int64>, in batch: inout Batch) {
        let (to, from) = (batch.space(16), batch.space(16))
        batch.store(addressOf: event, in: to)
        batch.store(addressOf: caught.part(Self.valuePlace, Self.valueSize), in: from)
        for vector in [to, from] { batch.store(Self.valueSize, in: vector, at: 8) }
        let own = batch.call(Int(SYS_getpid), for: "ask for its pid")
        batch.call(
            Int(SYS_process_vm_readv), .result(own), .address(to), 1, .address(from), 1, 0, expecting: expected,
            for: "copy eight bytes")
    }

    /// Registers as before.
    mutating func set(again descriptor: Int32, in batch: inout Batch) {
        let (number, kind): (Int32, Int32)
        switch manner {
        case nil: return
        case .signal(let signal, _): (number, kind) = (signal, Self.bySignal)
        case .silent: (number, kind) = (0, Self.silent)
        case .message(_, let socket):
            (number, kind) = (socket, Self.byThread)
            batch.store(addressOf: caught, in: event)
        }
        // Behind the value: the signal, and how.
        batch.store(Int(number) | Int(kind) << 32, in: event, at: Self.valueSize)
        registering = batch.call(
            Int(SYS_mq_notify), .signed(descriptor), .address(event), expecting: Batch.anything,
            for: "register for notification again")
    }

    // MARK: The answer

    /// - Parameter run: has the process make more calls, where something has to be put right.
    func answer(
        _ result: BatchResult, _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> QueueNotification? {
        guard let manner else { return nil }
        var found = manner
        switch manner {
        case .signal(let number, _) where number > 0:
            if result[taking] == -Int64(Self.again) {
                // Registered before it executed another program, which is not told. What shows is that somebody is registered.
                try replace(run)
                found = .silent
            } else if result[taking] == Int64(number),
                result.integer(Int32.self, in: caught, at: Self.codePlace) == Self.ofQueue
            {
                found = .signal(number, value: result.integer(UInt64.self, in: caught, at: Self.valuePlace))
            } else {
                try giveBack(result, number, run)
                throw QueueLook.hasChanged(seen)
            }
        case .message(_, let socket):
            guard result[taking] == Int64(QueueNotification.cookieSize) else { throw QueueLook.hasChanged(seen) }
            found = .message(Array(result.bytes(of: caught).prefix(QueueNotification.cookieSize)), socket: socket)
        case .silent, .signal: break
        }
        guard result[registering] == 0 else { throw QueueLook.hasChanged(seen) }
        return QueueNotification(process: seen.pid, descriptor: seen.number, found)
    }

    private func replace(_ run: (Batch) throws(Problem) -> BatchResult) throws(Problem) {
        var batch = Batch()
        let event = batch.buffer([UInt8](repeating: 0, count: Self.eventSize))
        batch.store(Int(Self.silent) << 32, in: event, at: Self.valueSize)
        batch.call(Int(SYS_mq_notify), .signed(seen.number), 0, for: "take back a registration")
        batch.call(Int(SYS_mq_notify), .signed(seen.number), .address(event), for: "register for notification again")
        try run(batch).check()
    }

    /// A signal of somebody else was taken.
    private func giveBack(
        _ result: BatchResult, _ number: Int32, _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) {
        guard result[taking] == Int64(number) else { return }
        var batch = Batch()
        let info = batch.buffer(result.bytes(of: caught))
        let own = batch.call(Int(SYS_getpid), for: "ask for its pid")
        batch.call(
            Int(SYS_rt_sigqueueinfo), .result(own), .signed(number), .address(info), for: "give a signal back")
        try run(batch).check()
    }
}
