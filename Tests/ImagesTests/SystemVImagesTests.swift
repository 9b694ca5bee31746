import Diagnostics
import Images
import SystemPackage
import Testing

@Suite("Semaphores and queues of System V in images")
struct SystemVImagesTests {
    @Test("What CRIU has written", arguments: ["namespaces", "userns"])
    func ofCRIU(name: String) throws {
        let images = try CheckpointImages(reading: ImageDirectory(opening: Fixture.path(name)))
        #expect(images.semaphores.map(\.values) == [[1, 22, 333]])
        #expect(images.semaphores.map(\.namespace) == [11] && images.semaphores[0].entry.desc.key == 4322)
        #expect(images.messageQueues.map(\.messages) == [[.init(type: 5, bytes: Array("a message\0".utf8))]])
        #expect(images.messageQueues[0].entry.qbytes == 16384)
    }

    @Test("What is written is read")
    func writing() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let directory = try copy.open()
        var queue = IpcMsgEntry()
        queue.desc = description
        queue.qbytes = 100
        queue.qnum = 3
        let messages: [MessageQueueImage.Message] = [
            .init(type: .max, bytes: []), .init(type: 1, bytes: [1, 2, 3]),
            .init(type: 2, bytes: Array(repeating: 9, count: 16)),
        ]
        var set = IpcSemEntry()
        set.desc = description
        set.nsems = 5
        try directory.write(queues: [(queue, messages), (queue, messages)], namespace: 3)
        try directory.write(semaphores: [(set, [1, 2, 3, 4, 65535]), (set, [0, 0, 0, 0, 0])], namespace: 3)
        let images = try CheckpointImages(reading: directory)
        #expect(images.messageQueues.map(\.messages) == [messages, messages])
        #expect(images.semaphores.map(\.values) == [[1, 2, 3, 4, 65535], [0, 0, 0, 0, 0]])
    }

    @Test("Counts that the file does not have")
    func counts() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let directory = try copy.open()
        var queue = IpcMsgEntry()
        queue.desc = description
        queue.qbytes = 100
        queue.qnum = .max
        try directory.write([queue], as: .ipcMessages, id: 3)
        #expect(throws: Problems.self) { try CheckpointImages(reading: directory) }
        try directory.write([] as [IpcMsgEntry], as: .ipcMessages, id: 3)
        var set = IpcSemEntry()
        set.desc = description
        set.nsems = .max
        try directory.write([set], as: .ipcSemaphores, id: 3)
        #expect(throws: Problems.self) { try CheckpointImages(reading: directory) }
    }

    private var description: IpcDescEntry {
        var entry = IpcDescEntry()
        (entry.key, entry.uid, entry.gid, entry.cuid, entry.cgid, entry.mode, entry.id) = (1, 2, 3, 4, 5, 0o600, 6)
        return entry
    }
}
