internal import CLinux
public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage
public import Tracing

/// A POSIX message queue (mq_overview(7)): a file of a file system of its own, also where that is mounted nowhere.
///
/// A message can be looked at by taking it out only. So the process takes all out and puts all back, in the same order,
/// in one batch: once begun, it makes all of its calls even if Apus is killed meanwhile, and while it stands still nobody of the
/// tree sees anything of it. Where processes outside of the tree have the queue open, they would: it is left as it is.
public enum PosixQueue: DescriptionKind {
    public static let name = "POSIX message queue"

    /// The size that files of queues have (FILENT_SIZE of ipc/mqueue.c).
    private static let fileSize: UInt64 = 80
    private static let deleted = " (deleted)"

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        guard seen.hasPath, seen.status.kind == .regular, seen.status.size == fileSize else { return false }
        return PosixQueues.isQueue(at: place(of: seen))
    }

    static func place(of seen: SeenDescriptor) -> FilePath {
        ProcessDirectory(seen.pid).path.appending("fd").appending("\(seen.number)")
    }

    /// The name of the queue, without the slash.
    static func name(of seen: SeenDescriptor) -> [UInt8] {
        var link = seen.link[...]
        if seen.status.linkCount == 0 { link = link.dropLast(deleted.utf8.count) }
        return Array(link.suffix(from: link.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? link.startIndex))
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if let registered = notified(seen), registered != 0 {
            return Problem(
                .unsupported,
                "process \(registered) is to be notified of a message in the queue (mq_notify), and how, the kernel does not show",
                object: seen.object, remedy: "Have it take back its registration before the dump")
        }
        guard seen.status.linkCount == 0, let outsider = circumstances.queueHolders[seen.status.inode] else {
            return nil
        }
        return Problem(
            .leadsOutside,
            "process \(outsider) outside of the tree has the queue open, too, which has no name any more",
            object: seen.object, remedy: "Dump the processes that share it together, by a parent of all")
    }

    /// Who is to be notified: the text of the file, `QSIZE:0 NOTIFY:0 SIGNO:0 NOTIFY_PID:0`.
    private static func notified(_ seen: SeenDescriptor) -> Int32? {
        guard let text = try? Files.contents(of: place(of: seen)) else { return nil }
        let words = String(decoding: text, as: UTF8.self).split { " \n\t".contains($0) }
        return words.first { $0.hasPrefix("NOTIFY_PID:") }.flatMap { Int32($0.dropFirst("NOTIFY_PID:".count)) }
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        let name = name(of: seen)
        // Where the file system is mounted by custom, and others find it.
        file.path = FilePath(bytes: Array("/dev/mqueue/".utf8) + name)
        let own = try descriptions.open(seen)
        file.fown = try descriptions.owner(of: seen, through: own.raw)
        let attributes: PosixQueues.Attributes
        do throws(Errno) { attributes = try PosixQueues.attributes(own.raw) } catch {
            throw descriptions.unreadable(seen, error, "mq_getsetattr")
        }
        var members: [JSON.Member] = [
            .init("inode", .number(seen.status.inode)), .init("name", .string(SocketSupplement.text(name))),
            .init("capacity", .number(attributes.capacity)), .init("size", .number(attributes.messageSize)),
            .init("uid", .number(seen.status.uid)), .init("gid", .number(seen.status.gid)),
            .init("unlinked", .bool(seen.status.linkCount == 0)),
        ]
        if let outsider = descriptions.circumstances.queueHolders[seen.status.inode] {
            descriptions.note(
                loss:
                    "process \(seen.pid), descriptor \(seen.number): process \(outsider) outside of the tree has this message"
                    + " queue open, too: what is in it is not in the images and stays there; elsewhere the restore finds none"
            )
            members.append(.init("left", true))
        } else {
            let messages = descriptions.queueContents[seen.status.inode] ?? []
            guard messages.count == attributes.count else {
                throw Problem(
                    .underWay, "the message queue has changed while it was looked at", object: seen.object,
                    remedy: "Somebody outside of the tree uses it: try again when nobody does")
            }
            let told = messages.map { message in
                JSON.object([
                    .init("priority", .number(message.priority)),
                    .init("bytes", .string(SocketSupplement.text(message.bytes))),
                ])
            }
            members.append(.init("messages", .array(told)))
        }
        descriptions.supplement[.mqueue, file.id] = .object(members)
        RegularFile.add(file, to: descriptions)
        return DescriptionKey(.reg, file.id)
    }
}

/// What is in the queues that a tree has open, by inode.
public struct PosixQueueContents: Sendable {
    private(set) var messages: [UInt64: [PosixQueues.Message]] = [:]
    private let outside: Set<UInt64>

    /// More fits into no batch.
    private static let mostBytes = 160 << 10

    public init(_ circumstances: Circumstances) { outside = Set(circumstances.queueHolders.keys) }

    /// Has a process look into the queues that it has open, and that nobody before it has looked into.
    ///
    /// - Parameter run: has it make the calls of a batch.
    public mutating func read(
        _ descriptors: [SeenDescriptor], _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) {
        for seen in descriptors where messages[seen.status.inode] == nil && PosixQueue.recognises(seen) {
            if outside.contains(seen.status.inode) || seen.info.flags.contains(.path) { continue }
            messages[seen.status.inode] = try read(seen, run)
        }
    }

    private func read(
        _ seen: SeenDescriptor, _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> [PosixQueues.Message] {
        var batch = Batch()
        let raw = batch.space(PosixQueues.Attributes.size)
        batch.call(
            Int(SYS_mq_getsetattr), .signed(seen.number), 0, .address(raw), for: "ask how many messages a queue has")
        let result = try run(batch)
        try result.check()
        let attributes = PosixQueues.Attributes(result.bytes(of: raw))
        if attributes.count == 0 { return [] }
        let (needed, overflow) = attributes.count.multipliedReportingOverflow(by: attributes.messageSize + 300)
        guard !overflow, needed <= Self.mostBytes else {
            throw Problem(
                .unsupported,
                "the queue has \(attributes.count) messages of up to \(attributes.messageSize) bytes, more than Apus can look"
                    + " into at once",
                object: seen.object,
                remedy: "Dump when fewer messages wait, or make the queue with a smaller mq_msgsize")
        }
        return try lookInto(seen, attributes, run)
    }

    /// Takes all messages out and puts all back.
    private func lookInto(
        _ seen: SeenDescriptor, _ attributes: PosixQueues.Attributes, _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> [PosixQueues.Message] {
        var batch = Batch()
        let queue = open(seen, in: &batch)
        // A time that has passed: no call waits.
        let never = batch.space(16)
        var taken: [(call: Int, priority: Batch.Buffer, bytes: Batch.Buffer)] = []
        for _ in 0..<attributes.count {
            let (priority, bytes) = (batch.space(4), batch.space(attributes.messageSize))
            let call = batch.call(
                Int(SYS_mq_timedreceive), queue, .address(bytes), .int(attributes.messageSize), .address(priority),
                .address(never), expecting: Batch.anything, for: "look at a message")
            taken.append((call, priority, bytes))
        }
        // What could not be received has no length that could be sent: the call is refused.
        let sent = taken.map { call, priority, bytes in
            batch.call(
                Int(SYS_mq_timedsend), queue, .address(bytes), .result(call), .int32(priority), .address(never),
                expecting: Batch.anything, for: "put a message back")
        }
        if case .result = queue { batch.call(Int(SYS_close), queue) }
        let result = try run(batch)
        try result.check()
        let all = zip(taken, sent).allSatisfy { result[$0.call] >= 0 && result[$1] == 0 }
        guard all else {
            throw Problem(
                .underWay, "the message queue has changed while it was looked at", object: seen.object,
                remedy: "Somebody outside of the tree uses it: try again when nobody does")
        }
        return taken.map { call, priority, bytes in
            .init(
                priority: result.integer(UInt32.self, in: priority),
                bytes: Array(result.bytes(of: bytes).prefix(Int(result[call]))))
        }
    }

    /// A descriptor to read and write: its own, where that can, or one for the batch.
    private func open(_ seen: SeenDescriptor, in batch: inout Batch) -> Batch.Argument {
        if seen.info.flags.contains(.readWrite) { return .signed(seen.number) }
        let path = batch.string("/proc/self/fd/\(seen.number)".utf8)
        let (atWorkingDirectory, flags) = (Int32(-100), OpenFlags.readWrite.union(.nonBlocking).union(.closeOnExec))
        return .result(
            batch.call(
                Int(SYS_openat), .signed(atWorkingDirectory), .address(path), .int(Int(flags.rawValue)), 0,
                for: "open a message queue to look into it"))
    }
}
