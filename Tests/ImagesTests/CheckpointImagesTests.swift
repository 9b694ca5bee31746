import Diagnostics
import Images
import SystemPackage
import Testing

@Suite("Loading a whole directory")
struct CheckpointImagesTests {
    /// A dump reads its images back while pages are still being written.
    @Test("Page maps are read last, and only when the word comes that they stand")
    func pagesLast() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let maps = try copy.open().fileNames().filter { $0.hasPrefix("pagemap-") }
        let contents = try maps.map { try copy.get($0) }
        for map in maps { try copy.remove(map) }
        var failure: (any Error)?
        let images = try CheckpointImages(reading: copy.open()) {
            do { for (map, bytes) in zip(maps, contents) { try copy.put(bytes, map) } } catch { failure = error }
        }
        #expect(failure == nil && !maps.isEmpty)
        #expect(images.tasks.allSatisfy { ($0.pagemap == nil) == ($0.state == .dead) })
        let reason = Problem(.interrupted, "never", remedy: "")
        let problems = #expect(throws: Problems.self) {
            try CheckpointImages(reading: copy.open()) { () throws(Problem) in throw reason }
        }
        #expect(problems?.all == [reason])
    }

    @Test("Every fixture loads, and its parts fit together", arguments: Fixture.names)
    func loading(name: String) throws {
        let images = try CheckpointImages(reading: ImageDirectory(opening: Fixture.path(name)))
        #expect(images.inventory.imgVersion == 2)
        #expect(images.manifest == nil)
        #expect(images.root?.parent == 0)
        for task in images.tasks where task.state != .dead {
            #expect(task.ids != nil)
            #expect(!task.core.threadCore.creds.capBnd.isEmpty)
            #expect(task.threads.first?.tid == task.pid)
            #expect(task.pagemap?.runs.isEmpty == false)
        }
    }

    @Test("Pages outside of all mappings are refused")
    func strayPages() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let directory = try copy.open()
        let whole = try directory.required(.mm, id: 31000)
        let heap = try #require(whole.vmas.firstIndex { $0.kind.contains(.heap) })
        for change in [{ $0.vmas.remove(at: heap) }, { $0.vmas[heap].end -= 0x20000 }] as [(inout MmEntry) -> Void] {
            var memory = whole
            change(&memory)
            try directory.write([memory], as: .mm, id: 31000)
            let problems = #expect(throws: Problems.self) { try CheckpointImages(reading: directory) }
            #expect(problems?.all.map(\.code) == [.imageInvalid])
            #expect(problems?.all.first?.object.path == copy.path.appending("pagemap-31000.img").string)
        }
    }

    @Test("The tree has its shape: parents first, states, threads")
    func tree() throws {
        let images = try CheckpointImages(reading: ImageDirectory(opening: Fixture.path("tree")))
        #expect(images.tasks.map(\.pid) == [31800, 31803, 31804, 31805, 31807, 31808])
        #expect(images.task(31805)?.state == .stopped)
        #expect(images.task(31808)?.state == .dead)
        #expect(images.task(31808)?.memory == nil)
        #expect(images.task(31808)?.task.exitCode == 7 << 8)
        let threads = try CheckpointImages(reading: ImageDirectory(opening: Fixture.path("threads")))
        #expect(threads.root?.threads.map(\.tid) == [31300, 31302, 31303, 31304, 31305, 31306])
        #expect(threads.root?.threads.map(\.core.threadCore.commText).last == "apus-4")
    }

    @Test("Files, pipes, terminals and deleted files are found by their ids")
    func tables() throws {
        let files = try CheckpointImages(reading: ImageDirectory(opening: Fixture.path("files")))
        #expect(files.pipes.values.map(\.bytes.count).sorted() == [11, 6000])
        #expect(files.pipes.values.contains { $0.bytes == Array("in the fifo".utf8) })
        #expect(files.ghosts.count == 2)
        #expect(files.remaps.count >= 2)
        #expect(files.fileLocks.count >= 3)
        let log = try #require(files.root?.descriptors.first { $0.fd == 1 })
        #expect(files.files[log]?.reg.path == "/tmp/apus-fixtures/files/log")
        #expect(files.files.regular(try #require(files.root?.memory).exeFileID)?.path == "/opt/apus-fixtures/bin/files")
        let terminal = try CheckpointImages(reading: ImageDirectory(opening: Fixture.path("count-pty")))
        #expect(terminal.terminals.values.allSatisfy { $0.type == .pty })
        #expect(!terminal.terminals.isEmpty)
    }

    @Test("Images of another processor and of an unknown version are refused with their own codes")
    func refusals() throws {
        let directory = try ImageDirectory(opening: Fixture.path("count"))
        let other = #expect(throws: Problems.self) {
            try CheckpointImages(reading: directory, architecture: .aarch64)
        }
        // Both tasks, in one answer.
        #expect(other?.all.map(\.code) == [.imageArchitecture, .imageArchitecture])

        let copy = try TemporaryDirectory(copying: "count")
        var inventory = try directory.required(.inventory)
        inventory.imgVersion = 7
        try copy.open().write([inventory], as: .inventory)
        let version = #expect(throws: Problems.self) { try CheckpointImages(reading: copy.open()) }
        #expect(version?.all.map(\.code) == [.imageVersion])
    }

    @Test(
        "A missing mandatory file is named",
        arguments: [
            "inventory.img", "pstree.img", "core-31000.img", "mm-31173.img", "pagemap-31000.img", "pages-2.img",
            "fs-31173.img",
        ])
    func missing(file: String) throws {
        let copy = try TemporaryDirectory(copying: "count")
        try copy.remove(file)
        let problems = #expect(throws: Problems.self) { try CheckpointImages(reading: copy.open()) }
        #expect(problems?.all.map(\.code) == [.imageMissing])
        #expect(problems?.all.first?.object.path == copy.path.appending(file).string)
    }

    @Test(
        "Trees that Linux could not have are refused",
        arguments: [
            [(1, 0), (2, 3)], [(1, 0), (2, 2)], [(1, 0), (1, 1)], [(1, 0), (2, 0)], [(0, 0)], [(1, 0), (2, 3), (3, 2)],
            [(5_000_000, 0)],
        ])
    func badTrees(tree: [(UInt32, UInt32)]) throws {
        let directory = try TemporaryDirectory()
        let entries = tree.map { (pid, parent) in
            var entry = PstreeEntry()
            (entry.pid, entry.ppid, entry.pgid, entry.sid, entry.threads) = (pid, parent, 1, 1, [pid])
            return entry
        }
        try directory.open().write(entries, as: .pstree)
        let problem = #expect(throws: Problem.self) { try directory.open().tree() }
        #expect(problem?.code == .imageInvalid)
    }

    @Test("A descriptor that leads nowhere is named with its process and number")
    func danglingDescriptor() throws {
        let copy = try TemporaryDirectory(copying: "count")
        var table = try copy.open().messages(.fdinfo, id: 2)
        table[0].id = 9999
        try copy.open().write(table, as: .fdinfo, id: 2)
        let problems = #expect(throws: Problems.self) { try CheckpointImages(reading: copy.open()) }
        #expect(problems?.all.count == 1)
        #expect(problems?.all.first?.object.pid == 31000)
        #expect(problems?.all.first?.object.fd == 0)
    }
}
