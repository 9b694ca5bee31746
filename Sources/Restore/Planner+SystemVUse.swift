internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Objects
internal import Tracing

/// Semaphores and queues of System V: made by Apus, and used by the tasks in such a way that they are the last who
/// operated on a semaphore, sent or received, as they were, and that they do at their ends what they had to do.
extension Planner {
    /// Those of the tree's namespace.
    private var semaphores: [SemaphoreImage] {
        let own = images.ownIPCNamespace
        return images.semaphores.filter { own == nil || $0.namespace == own }
    }

    private var queues: [MessageQueueImage] {
        let own = images.ownIPCNamespace
        return images.messageQueues.filter { own == nil || $0.namespace == own }
    }

    mutating func openSemaphores(_ own: UInt32?) {
        for image in semaphores {
            guard SemaphoreTraits(of: image, images.supplement) != nil else {
                problems.append(
                    Problem(
                        .imageUnsuitable,
                        "the images tell of set \(image.entry.desc.id) of System V semaphores what no kernel could have",
                        remedy: "Copy the images again, all of them"))
                continue
            }
            let resource = SystemVSemaphores(image, ownNamespace: own != nil)
            plan.openings.append(.init(descriptor: takeDescriptor(), resource: resource, owner: nil))
        }
    }

    mutating func openQueues(_ own: UInt32?) {
        for image in queues {
            let receiver: SystemVQueue.Receiver = user(of: image, "receiver").map { _ in .task } ?? .none
            let resource = SystemVQueue(image, receiver: receiver, ownNamespace: own != nil)
            plan.openings.append(.init(descriptor: takeDescriptor(), resource: resource, owner: nil))
        }
    }

    /// A task that uses a queue.
    private func user(of image: MessageQueueImage, _ what: String) -> Int32? {
        guard let pid = images.supplement[.queue, image.entry.desc.id]?[what]?.bits.flatMap({ Int32(exactly: $0) }),
            images.tasks.contains(where: { $0.pid == pid && $0.state != .dead })
        else { return nil }
        return pid
    }

    func composeSemaphoreUndo(of pid: Int32, in batch: inout Batch) {
        for image in semaphores {
            let traits = SemaphoreTraits(of: image, images.supplement)
            for operations in traits?.undo(of: pid, values: image.values) ?? [] {
                operate(image, operations, "note what it has to do to a semaphore at its end", in: &batch)
            }
        }
    }

    /// Sends a message to a queue and takes it back: the last sender has to be the one that it was.
    func composeSending(of pid: Int32, in batch: inout Batch) {
        for image in queues where user(of: image, "sender") == pid {
            let (id, type) = (image.entry.desc.id, SystemVQueue.unusedTypes(image).sent)
            var bytes: [UInt8] = []
            bytes.append(littleEndian: type)
            let message = batch.buffer(bytes)
            batch.call(
                Int(SYS_msgsnd), .value(UInt64(id)), .address(message), 0, .int(Int(IPC_NOWAIT)),
                for: "be the last who sent to queue \(id)")
            receive(type, from: id, in: &batch)
        }
    }

    func composeSignatures(of pid: Int32, in batch: inout Batch) {
        for image in semaphores {
            let traits = SemaphoreTraits(of: image, images.supplement)
            for operations in traits?.signatures(of: pid, values: image.values) ?? [] {
                operate(image, operations, "be the last who used a semaphore", in: &batch)
            }
        }
        for image in queues where user(of: image, "receiver") == pid {
            receive(SystemVQueue.unusedTypes(image).left, from: image.entry.desc.id, in: &batch)
        }
    }

    private func operate(
        _ image: SemaphoreImage, _ operations: [UInt8], _ purpose: String, in batch: inout Batch
    ) {
        let sizeOfOne = 6
        let buffer = batch.buffer(operations)
        batch.call(
            Int(SYS_semop), .value(UInt64(image.entry.desc.id)), .address(buffer),
            .int(operations.count / sizeOfOne), for: purpose)
    }

    private func receive(_ type: Int64, from id: UInt32, in batch: inout Batch) {
        let message = batch.space(8)
        batch.call(
            Int(SYS_msgrcv), .value(UInt64(id)), .address(message), 0, .int(Int(type)), .int(Int(IPC_NOWAIT)),
            for: "be the last who received from queue \(id)")
    }
}
