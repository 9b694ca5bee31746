public import Diagnostics
public import ImageMessages
internal import SystemPackage

/// A set of System V semaphores in the images.
public struct SemaphoreImage: Sendable {
    /// The IPC namespace that it is in, by its number in the images.
    public var namespace: UInt32
    public var entry: IpcSemEntry
    /// As many as the set has.
    public var values: [UInt16]

    public init(namespace: UInt32, entry: IpcSemEntry, values: [UInt16]) {
        self.namespace = namespace
        self.entry = entry
        self.values = values
    }
}

/// A queue of System V messages in the images.
public struct MessageQueueImage: Sendable {
    /// The IPC namespace that it is in, by its number in the images.
    public var namespace: UInt32
    public var entry: IpcMsgEntry
    /// The oldest first.
    public var messages: [Message]

    /// One message.
    public struct Message: Sendable, Equatable {
        public var type: Int64
        public var bytes: [UInt8]

        public init(type: Int64, bytes: [UInt8]) {
            self.type = type
            self.bytes = bytes
        }
    }
}

extension ImageDirectory {
    /// All sets of semaphores of all namespaces.
    func semaphores(_ names: [String]) throws(Problem) -> [SemaphoreImage] {
        var found: [SemaphoreImage] = []
        for namespace in try namespaces(of: .ipcSemaphores, names) {
            for (entry, bytes) in try payloads(.ipcSemaphores, id: UInt64(namespace)) {
                let values = (0..<Int(entry.nsems)).map { UInt16(bytes[2 * $0]) | UInt16(bytes[2 * $0 + 1]) << 8 }
                found.append(.init(namespace: namespace, entry: entry, values: values))
            }
        }
        return found
    }

    /// All queues of messages of all namespaces.
    func messageQueues(_ names: [String]) throws(Problem) -> [MessageQueueImage] {
        var found: [MessageQueueImage] = []
        for namespace in try namespaces(of: .ipcMessages, names) {
            let name = ImageKind.ipcMessages.layout.fileName(id: UInt64(namespace))
            guard let file = try file(named: name) else { continue }
            for record in try records(.ipcMessages, id: UInt64(namespace)) {
                var cursor = FrameCursor(file, at: record.payload.lowerBound)
                var messages: [MessageQueueImage.Message] = []
                for _ in 0..<record.entry.qnum {
                    let head = try cursor.frame(IpcMsg.self)
                    let size = UInt64(head.msize)
                    let bytes = try cursor.bytes(size)
                    try cursor.skip((size + 7) / 8 * 8 - size)
                    messages.append(.init(type: Int64(bitPattern: head.mtype), bytes: bytes))
                }
                found.append(.init(namespace: namespace, entry: record.entry, messages: messages))
            }
        }
        return found
    }

    /// The namespaces of which there are images of a kind.
    private func namespaces<Entry>(of kind: ImageKind<Entry>, _ names: [String]) throws(Problem) -> [UInt32] {
        var found: [UInt32] = []
        for name in names {
            guard let id = kind.layout.id(inFileName: name) else { continue }
            guard let namespace = UInt32(exactly: id) else {
                throw .image(.imageInvalid, path.appending(name), "the number in the name is too large")
            }
            found.append(namespace)
        }
        return found
    }

    /// Writes sets of semaphores of one namespace; no file where there are none.
    public func write(semaphores: [(entry: IpcSemEntry, values: [UInt16])], namespace: UInt32) throws(Problem) {
        let records = semaphores.map { entry, values in
            var bytes = values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
            bytes += [UInt8](repeating: 0, count: (8 - bytes.count % 8) % 8)
            return (entry: entry, payload: bytes)
        }
        try write(payloads: records, as: .ipcSemaphores, id: UInt64(namespace))
    }

    /// Writes queues of messages of one namespace; no file where there are none.
    public func write(
        queues: [(entry: IpcMsgEntry, messages: [MessageQueueImage.Message])], namespace: UInt32
    ) throws(Problem) {
        if queues.isEmpty { return }
        let name = ImageKind.ipcMessages.layout.fileName(id: UInt64(namespace))
        var writer = try ImageWriter(creating: ImageKind.ipcMessages.layout, id: UInt64(namespace), in: self)
        for (entry, messages) in queues {
            try writer.append(entry)
            for message in messages {
                var head = IpcMsg()
                head.mtype = UInt64(bitPattern: message.type)
                guard let size = UInt32(exactly: message.bytes.count) else {
                    throw .image(.imageInvalid, path.appending(name), "a message is too large")
                }
                head.msize = size
                try writer.append(head)
                try writer.append(raw: message.bytes)
                try writer.append(raw: [UInt8](repeating: 0, count: (8 - message.bytes.count % 8) % 8))
            }
        }
        try writer.finishWhole()
    }
}
