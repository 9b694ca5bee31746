public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage

/// The semaphores and queues of System V that a tree uses, as the images keep them: in the form in which CRIU keeps those of a
/// namespace. Who used them last, and what processes add to semaphores at their end, stands in the supplement.
public struct SystemVRecords: Sendable {
    public internal(set) var semaphores: [(entry: IpcSemEntry, values: [UInt16])] = []
    public internal(set) var queues: [(entry: IpcMsgEntry, messages: [MessageQueueImage.Message])] = []

    init() {}
}

extension Descriptions {
    /// Records what a tree uses of System V, and names what others use, too.
    ///
    /// - Throws: `object-unreadable`.
    public func capture(_ use: SystemVUse) throws(Problem) {
        use.losses.forEach { note(loss: $0) }
        for semaphores in use.semaphores where semaphores.use.isTrees { try capture(semaphores, use.adjustments) }
        for (queue, use) in use.queues where use.isTrees { try capture(queue) }
    }

    private func capture(_ semaphores: SystemVUse.Semaphores, _ adjustments: [SemaphoreUndo]) throws(Problem) {
        let set = semaphores.set
        var entry = IpcSemEntry()
        entry.desc.key = UInt32(bitPattern: set.key)
        entry.desc.uid = set.uid
        entry.desc.gid = set.gid
        entry.desc.cuid = set.creatorUID
        entry.desc.cgid = set.creatorGID
        entry.desc.mode = set.mode
        entry.desc.id = UInt32(bitPattern: set.id)
        entry.nsems = UInt32(set.count)
        let values: [UInt16]
        do throws(Errno) { values = try SystemV.semaphoreValues(set.id, count: set.count) } catch {
            throw unreadable("set \(set.id) of System V semaphores", error, "semctl(GETALL)")
        }
        systemVRecords.semaphores.append((entry, values))
        let undo = adjustments.filter { $0.set == set.id }.map { one in
            JSON.object([
                .init("pid", .number(one.pid)), .init("semaphore", .number(one.index)),
                .init("add", .integer(Int64(one.adjustment))),
            ])
        }
        supplement[.semaphores, UInt32(bitPattern: set.id)] = .object([
            .init("users", .array(semaphores.users.map { .number($0) })), .init("undo", .array(undo)),
        ])
    }

    private func capture(_ queue: MessageQueue) throws(Problem) {
        var entry = IpcMsgEntry()
        entry.desc.key = UInt32(bitPattern: queue.key)
        entry.desc.uid = queue.uid
        entry.desc.gid = queue.gid
        entry.desc.cuid = queue.creatorUID
        entry.desc.cgid = queue.creatorGID
        entry.desc.mode = queue.mode
        entry.desc.id = UInt32(bitPattern: queue.id)
        entry.qnum = UInt32(queue.count)
        let messages: [MessageQueue.Message]
        do throws(Errno) {
            entry.qbytes = UInt32(clamping: try SystemV.limit(ofQueue: queue.id))
            messages = try SystemV.messages(in: queue.id, count: queue.count)
        } catch {
            throw unreadable("queue \(queue.id) of System V messages", error, "msgrcv(MSG_COPY)")
        }
        systemVRecords.queues.append((entry, messages.map { .init(type: $0.type, bytes: $0.bytes) }))
        supplement[.queue, UInt32(bitPattern: queue.id)] = .object([
            .init("sender", .number(queue.lastSender)), .init("receiver", .number(queue.lastReceiver)),
        ])
    }

    private func unreadable(_ what: String, _ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .objectUnreadable, "\(what), which the tree uses, cannot be read",
            cause: .init(error, attempted: attempted),
            remedy: error == .noFunction
                ? "The kernel needs CONFIG_CHECKPOINT_RESTORE"
                : "Try again: others of this host may change it; Apus needs CAP_IPC_OWNER")
    }
}
