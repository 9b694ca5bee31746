public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A description of a POSIX message queue. The queue itself is made by the first that asks, with what was in it.
///
/// One with a name outlives its processes. One that is there with the same name and attributes, and that nobody has open, is what
/// the dumped tree has left, and gets the messages of the images.
public struct PosixQueueFile: Resource {
    private let entry: RegFileEntry
    private let state: PosixQueueState
    /// Of the same queue, this one among them.
    private let descriptions: Int

    /// - Parameters:
    ///   - told: what the supplement says of it.
    ///   - all: what it says of all queues.
    /// - Throws: `object-unsupported` for what no kernel could have had.
    public init(_ entry: RegFileEntry, _ told: JSON, among all: [JSON]) throws(Problem) {
        descriptions = all.count { $0["inode"] == told["inode"] }
        guard let state = PosixQueueState(told) else {
            throw Problem(
                .objectUnsupported, "what the supplement says of message queue \(entry.id) makes no sense",
                remedy: "Copy the images again, all of them")
        }
        self.entry = entry
        self.state = state
    }

    private var shownName: String { "/" + String(decoding: state.name, as: UTF8.self) }

    public var description: String {
        "POSIX message queue \(shownName)" + (state.isUnlinked ? ", which has no name any more" : "")
            + (state.messages.count == 1 ? ", 1 message" : ", \(state.messages.count) messages")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if state.isUnlinked { return [] }
        do throws(Errno) {
            let queue = try PosixQueues.open(state.name)
            let present = try PosixQueues.attributes(queue.raw)
            if present.capacity != state.attributes.capacity || present.messageSize != state.attributes.messageSize {
                return [obstacle("another one has its name", "Remove that one (mq_unlink)")]
            }
            if !state.isLeft && !site.seesOutside {
                return [
                    obstacle(
                        "it is there, and who has it open cannot be seen from a new pid namespace",
                        "Remove it (mq_unlink), if nobody does")
                ]
            }
            if !state.isLeft, let user = Self.holder(of: shownName) {
                return [obstacle("it is there, and process \(user) has it open", "End that process")]
            }
            return []
        } catch {
            if error == .noSuchFileOrDirectory && !state.isLeft { return [] }
            return [
                Problem(
                    .fileMissing, "\(self) is not there", cause: .init(error, attempted: "mq_open"),
                    remedy: "Processes outside of the tree had it open at the dump: start them before the restore")
            ]
        }
    }

    private func obstacle(_ why: String, _ remedy: String) -> Problem {
        Problem(
            .queueInUse, "\(self) cannot be made: \(why)",
            remedy: remedy + ", or restore the tree in another IPC namespace (`unshare --ipc`)")
    }

    /// A process that has a queue of that name open.
    private static func holder(of name: String) -> Int32? {
        let own = Processes.current
        return ((try? Procfs.live.processes()) ?? []).first { pid in
            let directory = ProcessDirectory(pid)
            return pid != own
                && ((try? directory.descriptors()) ?? []).contains { number in
                    guard let link = try? directory.descriptorLink(number) else { return false }
                    return link.elementsEqual(name.utf8) || link.elementsEqual(("/dev/mqueue" + name).utf8)
                }
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            if site.posixQueues[state.inode] == nil { site.posixQueues[state.inode] = try make(at: site) }
            guard let queue = site.posixQueues[state.inode] else { throw .badFileDescriptor }
            let descriptor = try description(of: queue)
            try setFlags(entry.flags, of: descriptor.raw)
            queue.descriptionsLeft -= 1
            if state.isUnlinked && queue.descriptionsLeft == 0 {
                try PosixQueues.unlink(queue.name)
                site.madeQueues.remove(queue.name)
            }
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be made", cause: .init(error, attempted: "mq_open, mq_send"),
                remedy:
                    "Run Apus as root, raise fs.mqueue.msg_max and msgsize_max (sysctl) above \(state.attributes.capacity) and"
                    + " \(state.attributes.messageSize), and the limit of memory in queues (ulimit -q)")
        }
    }

    /// mq_open(3) and open(2) differ in O_LARGEFILE, which shows.
    private func description(of queue: SharedQueue) throws(Errno) -> OwnedDescriptor {
        let flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags))
        let way: OpenFlags =
            flags.contains(.readWrite) ? .readWrite : flags.contains(.writeOnly) ? .writeOnly : .readOnly
        if !flags.contains(.largeFile) { return try PosixQueues.open(queue.name, way) }
        return try Files.open(FilePath("/proc/self/fd/\(queue.descriptor.raw)"), way)
    }

    private func make(at site: RestoreSite) throws(Errno) -> SharedQueue {
        if !state.isUnlinked, let present = try Self.present(state.name) {
            let queue = SharedQueue(present, named: state.name, descriptions: descriptions)
            if state.isLeft { return queue }
            let old = try Self.drain(queue.descriptor.raw)
            if !site.madeQueues.contains(state.name) && site.changedQueues[state.name] == nil {
                site.changedQueues[state.name] = old
            }
            for message in state.messages { try PosixQueues.send(message, to: queue.descriptor.raw) }
            return queue
        }
        // The name that it had may be another's by now.
        var name = state.name
        if state.isUnlinked, try Self.present(name) != nil {
            name = Array("apus-\(RandomName.mark)-\(state.inode)".utf8)
        }
        let queue = SharedQueue(
            try PosixQueues.make(name, state.attributes), named: name, descriptions: descriptions)
        site.madeQueues.insert(name)
        try Files.setMode(queue.descriptor.raw, entry.mode & 0o7777)
        try Files.setOwner(queue.descriptor.raw, uid: state.uid, gid: state.gid)
        for message in state.messages { try PosixQueues.send(message, to: queue.descriptor.raw) }
        return queue
    }

    private static func present(_ name: [UInt8]) throws(Errno) -> OwnedDescriptor? {
        do throws(Errno) { return try PosixQueues.open(name) } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }

    /// Takes all messages out.
    static func drain(_ queue: Int32) throws(Errno) -> [PosixQueues.Message] {
        let attributes = try PosixQueues.attributes(queue)
        var found: [PosixQueues.Message] = []
        for _ in 0..<attributes.count { found.append(try PosixQueues.receive(queue, size: attributes.messageSize)) }
        return found
    }
}

/// A queue that is being restored.
final class SharedQueue {
    /// Apus' own, to read and write.
    let descriptor: OwnedDescriptor
    let name: [UInt8]
    /// Descriptions that are yet to be made.
    var descriptionsLeft: Int

    init(_ descriptor: consuming OwnedDescriptor, named name: [UInt8], descriptions: Int) {
        self.descriptor = descriptor
        self.name = name
        descriptionsLeft = descriptions
    }
}

/// What the supplement says of a queue.
struct PosixQueueState: Sendable, Equatable {
    var inode: UInt64
    /// Without the slash.
    var name: [UInt8]
    var attributes: PosixQueues.Attributes
    var uid, gid: UInt32
    var isUnlinked: Bool
    /// What is in it was left to others.
    var isLeft: Bool
    var messages: [PosixQueues.Message] = []
    var notification: QueueNotification?

    /// - Returns: nil where no kernel could have had that (HARD_MSGMAX, HARD_MSGSIZEMAX of linux/ipc_namespace.h; NAME_MAX).
    init?(_ told: JSON) {
        guard let inode = told["inode"]?.bits, let name = told["name"]?.string.flatMap(Hexadecimal.bytes),
            let capacity = told["capacity"]?.bits, let size = told["size"]?.bits, let uid = told["uid"]?.bits,
            let gid = told["gid"]?.bits, (1...65536).contains(capacity), (1...16 << 20).contains(size),
            (1...255).contains(name.count), !name.contains(0), !name.contains(UInt8(ascii: "/"))
        else { return nil }
        self.inode = inode
        self.name = name
        attributes = .init(capacity: Int(capacity), messageSize: Int(size))
        (self.uid, self.gid) = (UInt32(truncatingIfNeeded: uid), UInt32(truncatingIfNeeded: gid))
        isUnlinked = told["unlinked"]?.isTrue ?? false
        isLeft = told["left"]?.isTrue ?? false
        for message in told["messages"]?.elements ?? [] {
            guard let priority = message["priority"]?.bits, priority < 32768,
                let bytes = message["bytes"]?.string.flatMap(Hexadecimal.bytes), bytes.count <= Int(size)
            else { return nil }
            messages.append(.init(priority: UInt32(priority), bytes: bytes))
        }
        if messages.count > Int(capacity) { return nil }
        if let notified = told["notification"] {
            guard let notification = QueueNotification(notified) else { return nil }
            self.notification = notification
        }
    }
}

extension RestoreSite {
    /// Takes back what was done to queues that have names.
    func withdrawQueues() {
        for name in madeQueues { try? PosixQueues.unlink(name) }
        for (name, messages) in changedQueues {
            guard let queue = try? PosixQueues.open(name) else { continue }
            _ = try? PosixQueueFile.drain(queue.raw)
            for message in messages { try? PosixQueues.send(message, to: queue.raw) }
        }
        forgetQueues()
    }

    func forgetQueues() {
        madeQueues = []
        changedQueues = [:]
    }
}

extension Problem.Code {
    /// A POSIX message queue that is in the images cannot be made: another is there.
    public static let queueInUse: Self = "queue-in-use"
}
