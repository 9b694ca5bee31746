internal import CLinux
internal import Glibc
public import SystemPackage

/// POSIX message queues (mq_overview(7)), which Linux has as files of a file system of their own.
public enum PosixQueues {
    /// A message and its priority.
    public struct Message: Sendable, Equatable {
        public var priority: UInt32
        public var bytes: [UInt8]

        public init(priority: UInt32, bytes: [UInt8]) {
            self.priority = priority
            self.bytes = bytes
        }
    }

    /// What a queue is made with, and how many messages are in it.
    public struct Attributes: Sendable, Equatable {
        public var capacity: Int
        /// The most bytes in a message.
        public var messageSize: Int
        public var count = 0

        public init(capacity: Int, messageSize: Int, count: Int = 0) {
            self.capacity = capacity
            self.messageSize = messageSize
            self.count = count
        }

        /// From a struct mq_attr as mq_getsetattr(2) fills it.
        public init(_ raw: [UInt8]) {
            capacity = raw[...].integer(at: 8, of: Int.self)
            messageSize = raw[...].integer(at: 16, of: Int.self)
            count = raw[...].integer(at: 24, of: Int.self)
        }

        /// A struct mq_attr.
        var raw: [UInt8] {
            var raw: [UInt8] = []
            for value in [0, capacity, messageSize, 0, 0, 0, 0, 0] { raw.append(integer: value) }
            return raw
        }

        /// sizeof(struct mq_attr).
        public static let size = 64
    }

    /// Whether a file is in the file system of queues (statfs(2)).
    public static func isQueue(at path: FilePath) -> Bool {
        let ofQueues: Int64 = 0x1980_0202
        var status = apus_statfs()
        let result = withAddress(of: path) { address in
            withUnsafeAddress(of: &status) { outcome(of: Int(SYS_statfs), address, $0) }
        }
        return (try? result.get()) != nil && status.type == ofQueues
    }

    /// mq_open(3) without O_CREAT.
    ///
    /// - Parameter name: without the slash.
    /// - Throws: ENOENT where there is none.
    public static func open(
        _ name: [UInt8], _ flags: OpenFlags = [.readWrite, .nonBlocking]
    ) throws(Errno) -> OwnedDescriptor {
        try open(name, flags, nil)
    }

    /// mq_open(3) with O_CREAT and O_EXCL.
    ///
    /// - Throws: EEXIST; EINVAL for attributes above `fs.mqueue.*_max`; EMFILE for more memory than RLIMIT_MSGQUEUE allows.
    public static func make(_ name: [UInt8], _ attributes: Attributes) throws(Errno) -> OwnedDescriptor {
        try open(name, [.readWrite, .nonBlocking, .create, .exclusive], attributes)
    }

    private static func open(
        _ name: [UInt8], _ flags: OpenFlags, _ attributes: Attributes?
    ) throws(Errno) -> OwnedDescriptor {
        // The kernel makes it close-on-exec in any case. Asked for, that would stay a flag of the description, where
        // /proc/PID/fdinfo shows it of each of its descriptors.
        let flags = UInt(signed: flags.rawValue)
        let result = withAddress(ofBytes: name + [0]) { name, _ in
            withAddress(ofBytes: attributes?.raw ?? []) { raw, _ in
                outcome(of: Int(SYS_mq_open), name, flags, 0o600, attributes == nil ? 0 : raw)
            }
        }
        return OwnedDescriptor(owning: Int32(try result.get()))
    }

    /// mq_unlink(3).
    public static func unlink(_ name: [UInt8]) throws(Errno) {
        let result = withAddress(ofBytes: name + [0]) { name, _ in outcome(of: Int(SYS_mq_unlink), name) }
        _ = try result.get()
    }

    /// mq_getattr(3).
    public static func attributes(_ queue: Int32) throws(Errno) -> Attributes {
        Attributes(
            try bytes(filledBy: Attributes.size) { address in
                outcome(of: Int(SYS_mq_getsetattr), UInt(signed: queue), 0, address).map { _ in Attributes.size }
            })
    }

    /// mq_receive(3): the oldest of those with the highest priority, which is taken out.
    ///
    /// - Throws: EAGAIN where there is none.
    public static func receive(_ queue: Int32, size: Int) throws(Errno) -> Message {
        var priority: UInt32 = 0
        var result = Result<Int, Errno>.success(0)
        let content = try bytes(filledBy: size) { address in
            result = withUnsafeAddress(of: &priority) {
                outcome(of: Int(SYS_mq_timedreceive), UInt(signed: queue), address, UInt(size), $0, 0)
            }
            return result
        }
        return Message(priority: priority, bytes: content)
    }

    /// mq_send(3).
    ///
    /// - Throws: EAGAIN where it is full.
    public static func send(_ message: Message, to queue: Int32) throws(Errno) {
        let result = withAddress(ofBytes: message.bytes) { address, count in
            outcome(
                of: Int(SYS_mq_timedsend), UInt(signed: queue), address, count, UInt(message.priority), 0)
        }
        _ = try result.get()
    }
}

/// The address of a value, valid during `body` only.
private func withUnsafeAddress<Value, R>(of value: inout Value, _ body: (UInt) -> R) -> R {
    unsafe withUnsafeMutablePointer(to: &value) { pointer in
        // The number is used by one system call within the closure, while the pointer is valid.
        body(UInt(bitPattern: pointer))
    }
}
