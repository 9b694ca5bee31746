internal import CLinux
internal import Diagnostics
internal import Linux
internal import SystemPackage
internal import Tracing

/// One look into a POSIX message queue, by a process that has it open.
///
/// A message can be looked at by taking it out only, and a registration for notification (mq_notify(3)) shows its value only when it
/// is used up. So the process takes all messages out and puts them back, or sends itself one and takes it out where there
/// is none; takes the notification that comes of that before anybody sees it; and registers again as before. All of
/// that is one batch: once begun, it is made to its end also if Apus is killed meanwhile.
struct QueueLook {
    private let seen: SeenDescriptor
    private let manner: QueueNotification.Manner?

    /// More fits into no batch.
    private static let mostBytes = 160 << 10

    /// - Parameter manner: how the process is to be notified, with no value yet; nil where it is not.
    init(_ seen: SeenDescriptor, _ manner: QueueNotification.Manner?) {
        (self.seen, self.manner) = (seen, manner)
    }

    static func hasChanged(_ seen: SeenDescriptor) -> Problem {
        Problem(
            .underWay, "the message queue has changed while it was looked at", object: seen.object,
            remedy: "Somebody outside of the tree uses it: try again when nobody does")
    }

    func read(
        _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> (messages: [PosixQueues.Message], notification: QueueNotification?) {
        var batch = Batch()
        let raw = batch.space(PosixQueues.Attributes.size)
        batch.call(
            Int(SYS_mq_getsetattr), .signed(seen.number), 0, .address(raw), for: "ask how many messages a queue has")
        let pending = batch.space(8)
        batch.call(Int(SYS_rt_sigpending), .address(pending), 8, for: "ask which signals are pending")
        let result = try run(batch)
        try result.check()
        let attributes = PosixQueues.Attributes(result.bytes(of: raw))
        let (needed, overflow) = attributes.count.multipliedReportingOverflow(by: attributes.messageSize + 300)
        guard !overflow, needed <= Self.mostBytes else {
            throw Problem(
                .unsupported,
                "the queue has \(attributes.count) messages of up to \(attributes.messageSize) bytes, more than Apus can look"
                    + " into at once",
                object: seen.object,
                remedy: "Dump when fewer messages wait, or make the queue with a smaller mq_msgsize")
        }
        var look = Batch()
        let trap = try QueueTrap(manner, seen, pending: result.integer(UInt64.self, in: pending), in: &look)
        if attributes.count == 0 && !trap.isNeeded {
            return ([], manner.map { QueueNotification(process: seen.pid, descriptor: seen.number, $0) })
        }
        return try lookInto(attributes, trap, look, run)
    }

    private typealias Taken = (call: Int, priority: Batch.Buffer, bytes: Batch.Buffer)

    private func lookInto(
        _ attributes: PosixQueues.Attributes, _ trap: QueueTrap, _ batch: Batch,
        _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> (messages: [PosixQueues.Message], notification: QueueNotification?) {
        var (trap, batch) = (trap, batch)
        // What may end the batch comes first: nothing has happened then.
        trap.prepare(&batch)
        let queue = open(in: &batch)
        // A time that has passed: no call waits.
        let never = batch.space(16)
        var taken: [Taken] = []
        for _ in 0..<attributes.count { taken.append(receive(attributes, queue, never, in: &batch)) }
        var sent: [Int] = []
        if taken.isEmpty {
            // The message that tells of itself.
            sent.append(
                batch.call(
                    Int(SYS_mq_timedsend), queue, .address(never), 0, 0, .address(never), expecting: Batch.anything,
                    for: "send itself a message"))
            trap.spring(&batch)
            _ = receive(attributes, queue, never, in: &batch)
        }
        for (index, (call, priority, bytes)) in taken.enumerated() {
            // What could not be received has no length that could be sent: the call is refused.
            sent.append(
                batch.call(
                    Int(SYS_mq_timedsend), queue, .address(bytes), .result(call), .int32(priority), .address(never),
                    expecting: Batch.anything, for: "put a message back"))
            if index == 0 { trap.spring(&batch) }
        }
        // To close any descriptor of a queue takes the registration back, so it comes before the new one.
        if case .result = queue { batch.call(Int(SYS_close), queue, expecting: Batch.anything) }
        trap.set(again: seen.number, in: &batch)
        let result = try run(batch)
        try result.check()
        let notification = try trap.answer(result, run)
        guard taken.allSatisfy({ result[$0.call] >= 0 }), sent.allSatisfy({ result[$0] == 0 }) else {
            throw Self.hasChanged(seen)
        }
        let messages = taken.map { call, priority, bytes in
            PosixQueues.Message(
                priority: result.integer(UInt32.self, in: priority),
                bytes: Array(result.bytes(of: bytes).prefix(Int(result[call]))))
        }
        return (messages, notification)
    }

    private func receive(
        _ attributes: PosixQueues.Attributes, _ queue: Batch.Argument, _ never: Batch.Buffer, in batch: inout Batch
    ) -> Taken {
        let (priority, bytes) = (batch.space(4), batch.space(attributes.messageSize))
        let call = batch.call(
            Int(SYS_mq_timedreceive), queue, .address(bytes), .int(attributes.messageSize), .address(priority),
            .address(never), expecting: Batch.anything, for: "look at a message")
        return (call, priority, bytes)
    }

    /// A descriptor to read and write: its own, where that can, or one for the batch.
    private func open(in batch: inout Batch) -> Batch.Argument {
        if seen.info.flags.contains(.readWrite) { return .signed(seen.number) }
        let path = batch.string("/proc/self/fd/\(seen.number)".utf8)
        let (atWorkingDirectory, flags) = (Int32(-100), OpenFlags.readWrite.union(.nonBlocking).union(.closeOnExec))
        return .result(
            batch.call(
                Int(SYS_openat), .signed(atWorkingDirectory), .address(path), .int(Int(flags.rawValue)), 0,
                for: "open a message queue to look into it"))
    }
}
