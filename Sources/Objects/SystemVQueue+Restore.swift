public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A queue of System V messages with what is in it, made by Apus with the id, the key and the owner that it had.
///
/// As with ``SystemVSemaphores``, one that is there with the same id and key, and that nobody else uses, is what the dumped tree
/// has left, and gets the messages of the images.
public struct SystemVQueue: Resource {
    private let entry: IpcMsgEntry
    private let messages: [MessageQueue.Message]
    private let receiver: Receiver
    private let ownNamespace: Bool

    /// Whether a task will take a message out of it, so that it is the last who received one.
    public enum Receiver: Sendable { case none, task }

    /// - Parameter ownNamespace: it is made in a namespace of the tree's own, in which there is nothing else.
    public init(_ image: MessageQueueImage, receiver: Receiver, ownNamespace: Bool) {
        entry = image.entry
        messages = image.messages.map { .init(type: $0.type, bytes: $0.bytes) }
        self.receiver = receiver
        self.ownNamespace = ownNamespace
    }

    private var id: Int32 { Int32(bitPattern: entry.desc.id) }
    private var key: Int32 { Int32(bitPattern: entry.desc.key) }

    public var description: String {
        "queue \(entry.desc.id) of System V messages"
            + (key == 0 ? "" : " with the key 0x\(String(entry.desc.key, radix: 16))")
            + (messages.count == 1 ? " with 1 message" : " with \(messages.count) messages")
    }

    /// Types of messages that are in no queue: of what a task sends itself, and of what is left for it to take.
    public static func unusedTypes(_ image: MessageQueueImage) -> (sent: Int64, left: Int64) {
        unusedTypes(image.messages.map(\.type))
    }

    private static func unusedTypes(_ types: [Int64]) -> (sent: Int64, left: Int64) {
        let used = Set(types)
        var free = (Int64.max - Int64(used.count) - 1...Int64.max).filter { !used.contains($0) }.makeIterator()
        return (free.next() ?? .max, free.next() ?? .max)
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if messages.contains(where: { $0.type < 1 }) {
            return [
                Problem(
                    .imageUnsound, "the images hold a message that no kernel could have sent",
                    remedy: "Copy the images again, all of them")
            ]
        }
        if ownNamespace { return [] }
        let present = (try? Procfs.live.messageQueues()) ?? []
        if let same = present.first(where: { $0.id == id }) {
            if !isSame(same) { return [taken("another one has its id", "Remove that one: `ipcrm -q \(id)`")] }
            if !site.seesOutside { return [taken(Self.unseen, "Remove it, if nobody does: `ipcrm -q \(id)`")] }
            if let user = SystemVUse.living([same.lastSender, same.lastReceiver]) ?? Self.waiting(for: id) {
                return [taken("it is there, and process \(user) uses it", "End that process")]
            }
            return []
        }
        if key != 0, let other = present.first(where: { $0.key == key }) {
            return [taken("another one, \(other.id), has its key", "Remove that one: `ipcrm -q \(other.id)`")]
        }
        return []
    }

    private static let unseen = "it is there, and who uses it cannot be seen from a new pid namespace"

    private func isSame(_ other: MessageQueue) -> Bool { other.id == id && other.key == key }

    /// A process that waits in a call for a queue.
    private static func waiting(for id: Int32) -> Int32? {
        ((try? Procfs.live.processes()) ?? []).first { pid in
            let threads = (try? ProcessDirectory(pid).threads()) ?? []
            return SystemVUse.waits(of: [(pid, threads)]).queues.contains(id)
        }
    }

    private func taken(_ why: String, _ remedy: String) -> Problem {
        Problem(
            .systemVInUse, "\(self) cannot be made: \(why)",
            remedy: remedy + ", or restore the tree in another IPC namespace (`unshare --ipc`)")
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            if let present = ((try? Procfs.live.messageQueues()) ?? []).first(where: isSame) {
                try site.segments.keepMessages(of: id, count: present.count)
            } else {
                try SystemV.makeQueue(
                    key: key, id: id, permissions: 0o600, uid: entry.desc.cuid, gid: entry.desc.cgid)
                // In a namespace of the tree's own it goes with that.
                if site.segments.home == nil { site.segments.madeQueues.append(id) }
            }
            try SystemV.refill(id, with: messages)
            if receiver == .task {
                try SystemV.send(.init(type: Self.unusedTypes(messages.map(\.type)).left, bytes: []), to: id)
            }
            // Tasks have yet to send: the limit is for when they have.
            site.segments.unlimited.append(entry)
            return try Files.open("/dev/null", .readOnly)
        } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be made", cause: .init(error, attempted: "msgget, msgctl, msgsnd"),
                remedy: "Run Apus as root (CAP_SYS_ADMIN), and see that kernel.msgmni, msgmnb and msgmax allow it"
                    + " (`ipcs -ql`)")
        }
    }
}

extension SystemV {
    /// Takes all messages out of a queue and puts others in.
    static func refill(_ id: Int32, with messages: [MessageQueue.Message]) throws(Errno) {
        while true {
            do throws(Errno) { _ = try receive(from: id) } catch {
                if error == .noMessage { break }
                throw error
            }
        }
        let needed = UInt64(messages.reduce(0) { $0 + $1.bytes.count }) + 1
        if try limit(ofQueue: id) < needed { try set(queue: id, uid: 0, gid: 0, permissions: 0o600, limit: needed) }
        for message in messages { try send(message, to: id) }
    }
}

extension Errno {
    /// ENOMSG.
    fileprivate static let noMessage = Errno(rawValue: 42)
}

extension SegmentsAtWork {
    /// Notes what a set that was there has, so that it has it again if the restore fails.
    mutating func keepValues(of id: Int32, count: Int) throws(Errno) {
        if madeSemaphores.contains(id) || changedSemaphores.contains(where: { $0.id == id }) { return }
        changedSemaphores.append((id, try SystemV.semaphoreValues(id, count: count)))
    }

    /// The same for a queue.
    mutating func keepMessages(of id: Int32, count: Int) throws(Errno) {
        if madeQueues.contains(id) || changedQueues.contains(where: { $0.id == id }) { return }
        changedQueues.append((id, try SystemV.messages(in: id, count: count)))
    }

    /// Gives queues their limits and their owners, when tasks have sent what they had to.
    mutating func limitQueues() throws(Problem) {
        for entry in unlimited {
            do throws(Errno) {
                try SystemV.set(
                    queue: Int32(bitPattern: entry.desc.id), uid: entry.desc.uid, gid: entry.desc.gid,
                    permissions: entry.desc.mode, limit: UInt64(entry.qbytes))
            } catch {
                throw Problem(
                    .fileUnopenable, "queue \(entry.desc.id) of System V messages cannot have \(entry.qbytes) bytes",
                    cause: .init(error, attempted: "msgctl(IPC_SET)"),
                    remedy: "Raise kernel.msgmnb (sysctl), or give Apus CAP_SYS_RESOURCE")
            }
        }
        unlimited = []
    }

    /// Takes back what was done to sets and queues of Apus' own namespace. The ends of the tasks that had anything to add
    /// to semaphores change nothing any more: setting the values has forgotten that.
    mutating func withdrawSystemV() {
        for id in madeSemaphores { try? SystemV.removeSemaphores(id) }
        for id in madeQueues { try? SystemV.removeQueue(id) }
        for (id, values) in changedSemaphores { try? SystemV.setSemaphores(id, values) }
        for (id, messages) in changedQueues { try? SystemV.refill(id, with: messages) }
        forgetSystemV()
    }

    /// What was made and changed is the tree's.
    mutating func forgetSystemV() {
        (madeSemaphores, madeQueues, changedSemaphores, changedQueues) = ([], [], [], [])
    }
}
