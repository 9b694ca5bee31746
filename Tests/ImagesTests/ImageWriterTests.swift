import Diagnostics
import Images
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite("Writing images")
struct ImageWriterTests {
    private func tree(_ count: UInt32) -> [PstreeEntry] {
        (1...count).map { pid in
            var entry = PstreeEntry()
            (entry.pid, entry.ppid, entry.pgid, entry.sid, entry.threads) = (pid, pid - 1, 1, 1, [pid])
            return entry
        }
    }

    @Test("An image is for its owner alone, and is never written through a link")
    func safety() throws {
        let directory = try TemporaryDirectory()
        try directory.put([1, 2, 3], "victim")
        let link = directory.path.appending("pstree.img").string
        // SAFETY: the strings live as long as the calls.
        #expect(unsafe symlink(directory.path.appending("victim").string, link) == 0)
        try directory.open().write(tree(3), as: .pstree)
        #expect(try directory.get("victim") == [1, 2, 3])
        #expect(try directory.open().messages(.pstree) == tree(3))
        var status = stat()
        #expect(unsafe lstat(link, &status) == 0)
        #expect(status.st_mode == S_IFREG | 0o600)
    }

    @Test("Nothing to write makes no file, and an absent file is empty")
    func nothing() throws {
        let directory = try TemporaryDirectory()
        try directory.open().write([], as: .pstree)
        #expect(try directory.open().fileNames().isEmpty)
        #expect(try directory.open().messages(.pstree).isEmpty)
        let problem = #expect(throws: Problem.self) { try directory.open().required(.pstree) }
        #expect(problem?.code == .imageMissing)
    }

    @Test("Payloads come back with their messages")
    func payloads() throws {
        let directory = try TemporaryDirectory()
        // Larger than the buffers of reader and writer.
        let sizes: [UInt32] = [0, 1, 70_000, 300_000, 3]
        let written = sizes.map { size in
            var entry = PipeDataEntry()
            (entry.pipeID, entry.bytes) = (size, size)
            return (entry: entry, payload: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) })
        }
        try directory.open().write(payloads: written, as: .pipesData)
        let read = try directory.open().payloads(.pipesData)
        #expect(read.map(\.entry) == written.map(\.entry))
        #expect(read.map(\.payload) == written.map(\.payload))
    }

    @Test(
        "A full disk is a problem with the file and the way out", .enabled(if: geteuid() == 0, "needs to mount"),
        .timeLimit(.minutes(1)))
    func fullDisk() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.string
        // SAFETY: the strings live as long as the calls.
        try #require(unsafe mount("tmpfs", path, "tmpfs", 0, "size=64k") == 0)
        // Detached: the directory may still be open.
        defer { #expect(unsafe umount2(path, Int32(MNT_DETACH)) == 0) }
        let images = try directory.open()
        let problem = #expect(throws: Problem.self) { try images.write(tree(50_000), as: .pstree) }
        #expect(problem?.code == .imageUnwritable)
        #expect(problem?.cause?.errno == .noSpace)
        #expect(problem?.object.path == directory.path.appending("pstree.img").string)
        #expect(problem?.remedy.contains("--images-dir") == true)
        // The disk is full now: neither can a dump be declared complete.
        let commit = #expect(throws: Problem.self) { try images.commit(toolVersion: "1", created: 0) }
        #expect(commit?.code == .imageUnwritable)
        #expect(try images.manifest() == nil)
    }

    @Test("A directory that is not there is named")
    func missingDirectory() {
        let problem = #expect(throws: Problem.self) { try ImageDirectory(opening: "/no/such/directory") }
        #expect(problem?.code == .imageMissing)
        #expect(problem?.object.path == "/no/such/directory")
    }
}
