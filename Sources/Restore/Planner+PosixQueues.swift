internal import CLinux
internal import Images
internal import Objects
internal import Tracing

/// Who is to be notified of messages in POSIX queues (mq_notify(3)).
extension Planner {
    /// Has a process register again, when all of its descriptors are there: to close one of the queue would take it back.
    mutating func composeQueueNotifications(_ index: Int, _ number: Int, in batch: inout Batch) {
        guard number == plan.tasks[index].firstLasting else { return }
        for key in images.supplement.keys(of: .mqueue) {
            guard let told = images.supplement[.mqueue, key]?["notification"].flatMap(QueueNotification.init),
                told.process == images.tasks[index].pid
            else { continue }
            let event = batch.space(64)  // sizeof(struct sigevent)
            let (bySignal, silent, byThread) = (0, 1, 2)  // SIGEV_*
            let (signal, manner): (Int32, Int)
            switch told.manner {
            case .signal(let number, let value):
                batch.store(Int(bitPattern: UInt(value)), in: event)
                (signal, manner) = (number, bySignal)
            case .silent: (signal, manner) = (0, silent)
            case .message(let cookie, let socket):
                batch.store(addressOf: batch.buffer(cookie), in: event)
                (signal, manner) = (socket, byThread)
            }
            // Behind the value: the signal, and how.
            batch.store(Int(signal) | manner << 32, in: event, at: 8)
            batch.call(
                Int(SYS_mq_notify), .signed(told.descriptor), .address(event),
                for: "be notified of a message in descriptor \(told.descriptor), a POSIX queue")
        }
    }
}
