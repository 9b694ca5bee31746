public import Diagnostics
internal import Images
internal import Linux
public import Tracing

/// What is in the queues that a tree has open, by inode.
public struct PosixQueueContents: Sendable {
    private(set) var messages: [UInt64: [PosixQueues.Message]] = [:]
    /// Who is to be notified of the next message, and how.
    private(set) var notifications: [UInt64: QueueNotification] = [:]
    private let outside: Set<UInt64>
    private let pids: Set<Int32>

    public init(_ circumstances: Circumstances) {
        outside = Set(circumstances.queueHolders.keys)
        pids = circumstances.pids
    }

    /// Has a process look into the queues that it has open, and that nobody before it has looked into. A queue of which
    /// a process of the tree is to be notified is looked into by that process.
    ///
    /// - Parameter run: has it make the calls of a batch.
    public mutating func read(
        _ descriptors: [SeenDescriptor], _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) {
        for seen in descriptors where messages[seen.status.inode] == nil && PosixQueue.recognises(seen) {
            if outside.contains(seen.status.inode) || seen.info.flags.contains(.path) { continue }
            let registration = QueueRegistration(seen)
            if let owner = registration?.owner, owner != seen.pid, pids.contains(owner) { continue }
            let own = registration?.owner == seen.pid ? registration : nil
            let look = try QueueLook(seen, own.map { found throws(Problem) in try found.manner(seen, descriptors) })
            let found = try look.read(run)
            messages[seen.status.inode] = found.messages
            notifications[seen.status.inode] = found.notification
        }
    }
}

/// A description of a queue whose content is told when all processes have been asked.
struct CapturedQueue {
    let seen: SeenDescriptor
    let id: UInt32
    /// The messages in it.
    let count: Int
    /// What the supplement says of it so far.
    var members: [JSON.Member]
}

extension Descriptions {
    /// Takes what was found in POSIX message queues, when all processes have been asked.
    ///
    /// - Throws: `under-way` where somebody uses one.
    public func take(_ contents: PosixQueueContents) throws(Problem) {
        var notifications = contents.notifications
        for var queue in capturedQueues {
            let inode = queue.seen.status.inode
            if circumstances.queueHolders[inode] == nil {
                let messages = contents.messages[inode] ?? []
                guard messages.count == queue.count else { throw QueueLook.hasChanged(queue.seen) }
                let told = messages.map { message in
                    JSON.object([
                        .init("priority", .number(message.priority)),
                        .init("bytes", .string(Hexadecimal.text(message.bytes))),
                    ])
                }
                queue.members.append(.init("messages", .array(told)))
            }
            // Of several descriptions of one queue the first tells.
            if let notification = notifications.removeValue(forKey: inode) {
                queue.members.append(.init("notification", notification.json))
            }
            supplement[.mqueue, queue.id] = .object(queue.members)
        }
        capturedQueues = []
    }
}
