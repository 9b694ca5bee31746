internal import CLinux
internal import Glibc
public import SystemPackage

/// A queue of System V messages as `/proc/sysvipc/msg` shows it (sysvipc(7)).
public struct MessageQueue: Sendable, Equatable {
    /// IPC_PRIVATE 0 for one without a key.
    public var key: Int32
    public var id: Int32
    /// Permission bits.
    public var mode: UInt32
    /// Messages in it.
    public var count: Int
    /// Processes, 0 for none that can be seen from here.
    public var lastSender: Int32
    public var lastReceiver: Int32
    public var uid: UInt32
    public var gid: UInt32
    /// Of its maker.
    public var creatorUID: UInt32
    public var creatorGID: UInt32

    /// A message: what it is for (`mtype`), and its bytes.
    public struct Message: Sendable, Equatable {
        public var type: Int64
        public var bytes: [UInt8]

        public init(type: Int64, bytes: [UInt8]) {
            self.type = type
            self.bytes = bytes
        }
    }

    /// Parses the text: a line of heads, and a line for each queue.
    ///
    /// - Parameter file: named in errors.
    public static func parse(_ text: [UInt8], file: FilePath = "msg") throws(ProcfsError) -> [MessageQueue] {
        var queues: [MessageQueue] = []
        for line in TextCursor(text, file: file).lines().dropFirst() { queues.append(try MessageQueue(line)) }
        return queues
    }

    private init(_ line: TextCursor) throws(ProcfsError) {
        var line = line
        key = try line.number("the key")
        id = try line.number("the id")
        mode = try line.number("the mode", radix: 8)
        let _: UInt64 = try line.number("the number of bytes")
        count = try line.number("the number of messages")
        lastSender = try line.number("the last sender")
        lastReceiver = try line.number("the last receiver")
        uid = try line.number("the owner")
        gid = try line.number("the group")
        creatorUID = try line.number("the maker")
        creatorGID = try line.number("the maker's group")
    }
}

extension Procfs {
    /// All queues of System V messages of the reader's IPC namespace.
    public func messageQueues() throws(ProcfsError) -> [MessageQueue] {
        let file = root.appending("sysvipc").appending("msg")
        return try MessageQueue.parse(try ProcessDirectory(path: root).contents(file), file: file)
    }
}

/// The calls of message queues (msgop(2), msgctl(2)), in the IPC namespace of the caller.
extension SystemV {
    private static let (noWait, noError, copy): (UInt, UInt, UInt) = (0o4000, 0o10000, 0o40000)

    /// msgget(2) with IPC_CREAT and IPC_EXCL, under a given id and as a given user, as for ``make(key:id:size:permissions:uid:gid:)``.
    ///
    /// - Throws: EEXIST where the key or the id is in use.
    public static func makeQueue(
        key: Int32, id: Int32, permissions: UInt32, uid: UInt32, gid: UInt32
    ) throws(Errno) {
        let how = UInt(IPC_CREAT | IPC_EXCL) | UInt(permissions & 0o777)
        try make(.queue, under: id, uid: uid, gid: gid) { outcome(of: Int(SYS_msgget), UInt(signed: key), how) }
    }

    /// IPC_RMID of msgctl(2).
    public static func removeQueue(_ id: Int32) throws(Errno) {
        try call(Int(SYS_msgctl), UInt(signed: id), UInt(IPC_RMID), 0)
    }

    /// All messages of a queue, the oldest first, which stay in it (MSG_COPY of msgop(2), which needs CONFIG_CHECKPOINT_RESTORE).
    ///
    /// - Throws: ENOSYS where the kernel cannot do that.
    public static func messages(in id: Int32, count: Int) throws(Errno) -> [MessageQueue.Message] {
        let room = try largestMessage()
        var found: [MessageQueue.Message] = []
        for index in 0..<count {
            found.append(try receive(from: id, room: room, UInt(index), copy | noWait))
        }
        return found
    }

    /// Takes a message of a type out of a queue, the oldest of all for the type 0.
    ///
    /// - Throws: ENOMSG where there is none.
    public static func receive(from id: Int32, type: Int64 = 0) throws(Errno) -> MessageQueue.Message {
        try receive(from: id, room: try largestMessage(), UInt(bitPattern: Int(type)), noWait)
    }

    /// What `kernel.msgmax` allows now; messages from before may be larger, and are read by MSG_NOERROR cut short. So the room is
    /// that of the largest queue.
    private static func largestMessage() throws(Errno) -> Int {
        var room = 65536
        for name: FilePath in ["/proc/sys/kernel/msgmax", "/proc/sys/kernel/msgmnb"] {
            let text = String(decoding: try Files.contents(of: name).prefix { $0 > 0x20 }, as: UTF8.self)
            room = max(room, min(Int(text) ?? 0, 256 << 20))
        }
        return room
    }

    private static func receive(
        from id: Int32, room: Int, _ which: UInt, _ how: UInt
    ) throws(Errno) -> MessageQueue.Message {
        let header = 8
        let raw = try bytes(filledBy: header + room) { address in
            outcome(of: Int(SYS_msgrcv), UInt(signed: id), address, UInt(room), which, how).map { $0 + header }
        }
        return .init(type: raw[...].integer(at: 0, of: Int64.self), bytes: Array(raw.dropFirst(header)))
    }

    /// msgsnd(2), which does not wait.
    ///
    /// - Throws: EAGAIN where the queue is full.
    public static func send(_ message: MessageQueue.Message, to id: Int32) throws(Errno) {
        var block: [UInt8] = []
        block.append(integer: message.type)
        block += message.bytes
        let result = withAddress(ofBytes: block) { address, _ in
            outcome(of: Int(SYS_msgsnd), UInt(signed: id), address, UInt(message.bytes.count), noWait)
        }
        _ = try result.get()
    }

    /// How many bytes may be in a queue (`msg_qbytes` of msgctl(2)).
    public static func limit(ofQueue id: Int32) throws(Errno) -> UInt64 {
        var queue = apus_message_queue()
        _ = try withAddress(of: &queue) { outcome(of: Int(SYS_msgctl), UInt(signed: id), UInt(IPC_STAT), $0) }
        return queue.limit
    }

    /// IPC_SET of msgctl(2).
    ///
    /// - Throws: EPERM for a limit above `kernel.msgmnb` without CAP_SYS_RESOURCE.
    public static func set(
        queue id: Int32, uid: UInt32, gid: UInt32, permissions: UInt32, limit: UInt64
    ) throws(Errno) {
        var queue = apus_message_queue()
        queue.permissions.uid = uid
        queue.permissions.gid = gid
        queue.permissions.mode = permissions & 0o777
        queue.limit = limit
        _ = try withAddress(of: &queue) { outcome(of: Int(SYS_msgctl), UInt(signed: id), UInt(IPC_SET), $0) }
    }
}
