import Diagnostics
import Images
import SystemPackage
import Testing

@Suite("Summaries of image directories")
struct ImageSummaryTests {
    private func summary(_ name: String) throws -> ImageSummary {
        try ImageSummary(of: ImageDirectory(opening: Fixture.path(name)))
    }

    @Test("Every fixture has one, and it accounts for every stored page", arguments: Fixture.names)
    func everyFixture(name: String) throws {
        let directory = try ImageDirectory(opening: Fixture.path(name))
        let summary = try ImageSummary(of: directory)
        let images = try CheckpointImages(reading: directory)
        #expect(summary.tasks.count == images.tasks.count)
        for task in summary.tasks {
            #expect(task.memory?.stored == images.task(task.pid)?.pagemap?.storedSize)
            #expect(task.descriptors.allSatisfy { !$0.kind.isEmpty && $0.kind != "unknown" && $0.kind != "nothing" })
            #expect(task.state == .dead || task.command?.isEmpty == false)
        }
    }

    @Test("The founding job: a shell that counts, and what it waits for")
    func count() throws {
        let summary = try summary("count")
        #expect(summary.toolVersion == nil)
        #expect(summary.tasks.map(\.pid) == [31000, 31173])
        #expect(summary.tasks.map(\.name) == ["bash", "sleep"])
        #expect(summary.tasks.map(\.command) == [["/bin/bash", "/opt/apus-fixtures/bin/count.sh"], ["sleep", "1"]])
        let bash = summary.tasks[0]
        #expect(bash.executable == "/usr/bin/bash")
        #expect(bash.descriptors.map(\.fd) == [0, 1, 2, 255])
        #expect(bash.descriptors[1].name == "/tmp/apus-fixtures/count/out")
        #expect(bash.descriptors[1].details == ["write", "at 8"])
        #expect(bash.descriptors[3].closesOnExec)
        #expect(bash.memory?.kinds.map(\.kind) == [.privateFile, .heap, .stack, .anonymous, .kernel])
    }

    @Test("States, ends and branches of a tree")
    func tree() throws {
        let tasks = try summary("tree").tasks
        #expect(tasks.map(\.state) == [.alive, .alive, .alive, .stopped, .alive, .dead])
        #expect(tasks.last?.end == "exit status 7")
        #expect(tasks.last?.branches == [false, false])
        #expect(tasks[1].branches == [false, true])
    }

    @Test("Sockets, pipes and deleted files are described by what tells them apart")
    func descriptions() throws {
        let sockets = try summary("tcp").tasks[0].descriptors
        #expect(sockets[7].name == "127.0.0.1:23456 -> 127.0.0.1:46716")
        #expect(sockets[8].kind == "tcp6")
        #expect(sockets[8].name == "[::1]:23457 -> [::1]:38142")
        let files = try summary("files").tasks[0].descriptors
        #expect(files.first { $0.fd == 13 }?.details == ["read end non-blocking", "6000 bytes queued"])
        #expect(files.first { $0.fd == 7 }?.details.contains("deleted") == true)
        #expect(files.first { $0.fd == 12 }?.details.first == "path only")
        let unix = try summary("unixsockets").tasks[0].descriptors
        #expect(unix.first { $0.fd == 14 }?.name == "@apus-fixture-listen")
        #expect(try summary("memory").sharedObjects == 3)
        #expect(try summary("memory").sharedStored == 8192 * 2 + 8192)
    }

    @Test("A completed dump of Apus tells its version and time")
    func committed() throws {
        let copy = try TemporaryDirectory(copying: "count")
        try copy.open().commit(toolVersion: "0.9", created: 86_400)
        let summary = try ImageSummary(of: copy.open())
        #expect(summary.toolVersion == "0.9")
        #expect(summary.created == 86_400)
    }
}
