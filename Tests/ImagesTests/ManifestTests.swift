import Diagnostics
import Glibc
import Images
import SystemPackage
import Testing

@Suite("Manifest")
struct ManifestTests {
    private func committed() throws -> TemporaryDirectory {
        let copy = try TemporaryDirectory(copying: "count")
        try copy.open().commit(toolVersion: "1.2.3", created: 1_700_000_000)
        return copy
    }

    @Test("A commit names every image with its size, and leaves no temporary file")
    func commit() throws {
        let copy = try committed()
        let directory = try copy.open()
        let manifest = try #require(try directory.manifest())
        #expect(manifest.toolVersion == "1.2.3")
        #expect(manifest.created == 1_700_000_000)
        let images = try directory.fileNames().filter { $0.hasSuffix(".img") }
        #expect(manifest.files.map(\.name) == images)
        #expect(manifest.files.first { $0.name == "pages-2.img" }?.size == 110_592)
        #expect(try !directory.fileNames().contains("manifest.json.tmp"))
        #expect(try CheckpointImages(reading: directory).manifest == manifest)
    }

    @Test("A file that is gone, shorter or longer is named; several in one answer")
    func differences() throws {
        let copy = try committed()
        try copy.remove("seccomp.img")
        try copy.put(Array(try copy.get("pages-1.img").dropLast()), "pages-1.img")
        try copy.put(try copy.get("fs-31000.img") + [0], "fs-31000.img")
        let problems = #expect(throws: Problems.self) { try CheckpointImages(reading: copy.open()) }
        let found = try #require(problems).all
        #expect(found.map(\.code) == [.imageChanged, .imageTruncated, .imageMissing])
        #expect(
            found.map(\.object.path)
                == ["fs-31000.img", "pages-1.img", "seccomp.img"].map { copy.path.appending($0).string })
    }

    @Test("A manifest of a newer version, and one that is none, are refused")
    func refusals() throws {
        let copy = try TemporaryDirectory(copying: "count")
        try copy.put(
            Array(#"{"format_version": 99, "tool_version": "9", "created": 1, "new": []}"#.utf8), "manifest.json")
        #expect(#expect(throws: Problem.self) { try copy.open().manifest() }?.code == .imageVersion)
        for text in ["", "{", "[]", #"{"format_version": "x"}"#, #"{"format_version": 1}"#] {
            try copy.put(Array(text.utf8), "manifest.json")
            #expect(#expect(throws: Problem.self) { try copy.open().manifest() }?.code == .imageBadFrame, "\(text)")
        }
        let escape = #"{"format_version":1,"tool_version":"1","created":1,"files":[{"name":"../x","size":1}]}"#
        try copy.put(Array(escape.utf8), "manifest.json")
        let problems = #expect(throws: Problems.self) { try CheckpointImages(reading: copy.open()) }
        #expect(problems?.all.map(\.code) == [.imageInvalid])
    }

    /// What a manifest can say comes back from its text, names that are no text among it.
    @Test("All of it is read as it was written")
    func roundTrip() throws {
        let copy = try TemporaryDirectory(copying: "count")
        var file = NeededFile(path: FilePath(imageBytes: Array("/opt/".utf8) + [0xe9, 0x20]))
        file.descriptions = [3, 7]
        file.uses = [.executed, .mapped, .reading, .appending]
        (file.mode, file.uid, file.gid, file.size) = (0o100755, 7, .max, .max)
        file.modified = .init(seconds: -1, nanoseconds: 999_999_999)
        (file.device, file.inode, file.buildID) = (2049, .max, [1, 2, 0xff])
        file.digest = ContentDigest(of: [1])
        file.mount = .init(point: "/opt", fileSystem: "ext4", source: "/dev/sda1")
        file.isShipped = true
        var other = NeededFile(path: "/var/log/x")
        other.unread = "the tree can write to it"
        var host = HostRecord(
            node: "a", kernel: "6.1", kernelVersion: "#1", architecture: "x86_64", distribution: "D 12", pageSize: 4096,
            processor: .init(vendor: "V", model: "M", features: ["avx", "sse"], stateFeatures: 7, stateSize: 832),
            clock: .init(source: "tsc", realTime: 1, monotonic: 2, bootTime: 3))
        host.processor.level = .v2
        let written = try copy.open().commit(
            toolVersion: "1.2.3", created: 1, host: host, needed: [file, other], durable: false)
        #expect(try copy.open().manifest() == written)
        #expect(written.needed == [file, other])
        #expect(written.host == host)
    }

    @Test(
        "Of a needed file nothing that is not so is taken",
        arguments: [
            (#""/x""#, #""x""#), (#""descriptions": ["#, #""descriptions": [-1,"#), (#""100644""#, #""109""#),
            (#""sha256": ""#, #""sha256": "../"#), (#""build_id": "01""#, #""build_id": "0""#),
            (#""shipped": true"#, #""shipped": true, "sha256": null"#),
        ])
    func forgedFile(_ honest: String, _ forged: String) throws {
        let copy = try TemporaryDirectory(copying: "count")
        var file = NeededFile(path: "/x")
        (file.mode, file.buildID, file.digest) = (0o100644, [1], ContentDigest(of: []))
        file.isShipped = true
        try copy.open().commit(toolVersion: "1", created: 1, needed: [file], durable: false)
        let text = String(decoding: try copy.get("manifest.json"), as: UTF8.self)
        var other = text.replacing(honest, with: forged)
        if forged.hasSuffix("null") {
            other = text.split(separator: "\n").filter { !$0.contains("sha256\": \"e3b0") }.joined(separator: "\n")
        }
        #expect(other != text)
        try copy.put(Array(other.utf8), "manifest.json")
        #expect(#expect(throws: Problem.self) { try copy.open().manifest() }?.code == .imageBadFrame)
    }

    /// Every reader opens it first: without it nobody takes a directory for whole.
    @Test("The inventory comes into place with the commit, and goes with the manifest")
    func inventoryLast() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let directory = try copy.open()
        let inventory = try directory.inventory()
        let names = try directory.fileNames()
        try copy.remove("inventory.img")
        #expect(#expect(throws: Problem.self) { try copy.open().inventory() }?.code == .imageMissing)
        let listed = try directory.list()
        let manifest = try directory.commit(inventory, toolVersion: "1", created: 1, listed: listed, durable: false)
        #expect(try directory.inventory() == inventory)
        #expect(manifest.files.map(\.name) == names.filter { $0.hasSuffix(".img") })
        #expect(try directory.fileNames() == (names + ["manifest.json"]).sorted())
        #expect(try copy.open().commit(toolVersion: "1", created: 1, durable: false) == manifest)
        #expect(try CheckpointImages(reading: copy.open()).manifest == manifest)
        // What stands in the way of clearing stays, and these two are gone by then.
        try copy.put([], "inventory.img.tmp")
        try copy.remove("core-31000.img")
        #expect(unsafe mkdir(copy.path.appending("core-31000.img").string, 0o700) == 0)
        #expect(throws: Problem.self) { try copy.open().clear() }
        let left = try copy.open().fileNames()
        #expect(
            !left.isEmpty && !left.contains { $0.hasPrefix("inventory.img") || $0.hasPrefix("manifest") }, "\(left)")
    }

    /// Whoever has written an image knows its digest, and says what one would say who reads it.
    @Test("What was written is not read again for its digest, unless it has become something else")
    func writtenDigests() throws {
        let place = try TemporaryDirectory()
        let directory = try place.open()
        var entry = PstreeEntry()
        func write(_ pid: UInt32, to directory: ImageDirectory) throws {
            (entry.pid, entry.ppid, entry.pgid, entry.sid, entry.threads) = (pid, 0, pid, pid, [pid])
            try directory.write([entry], as: .pstree)
        }
        try write(1, to: directory)
        let shared = try directory.makeShared()
        for place in [directory, shared] {
            var map = try PagemapWriter(id: 1, pagesID: 1, in: place)
            try map.add(address: 0x1000, pages: 1, flags: .isPresent)
            try map.finish()
        }
        // Of a file that others write behind what the writer has the digest is read; so is that of one that was made anew.
        var open = try ImageWriter(creating: "core-1.img", in: directory)
        try open.append(raw: [1, 2, 3])
        try open.flush()
        _ = unsafe [UInt8(4)].withUnsafeBytes { unsafe Glibc.write(open.descriptor, $0.baseAddress, 1) }
        try open.finish()
        var core = CoreEntry()
        core.mtype = .x8664
        try directory.write([core], as: .core, id: 2)
        var again = try ImageWriter(creating: "core-2.img", in: directory)
        try again.append(raw: [UInt8](repeating: 9, count: try place.get("core-2.img").count))
        try again.finish()
        func isHonest() throws -> Bool {
            let manifest = try directory.commit(toolVersion: "1", created: 1, durable: false)
            let other = try place.open().commit(toolVersion: "1", created: 1, durable: false)
            #expect(manifest.files.allSatisfy { $0.digest != nil } && manifest.files.count == 5)
            return manifest == other
        }
        #expect(try isHonest())
        // Grown behind our back, or replaced by ourselves.
        try place.put(try place.get("pstree.img") + [0], "pstree.img")
        #expect(try isHonest())
        try write(2, to: directory)
        #expect(try isHonest())
    }

    @Test("An image of the same size and another content is named, small or large")
    func contents() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let large = [UInt8](repeating: 7, count: 3 << 20)
        try copy.put(large, "pages-9.img")
        let directory = try copy.open()
        let manifest = try directory.commit(toolVersion: "1", created: 1, durable: false)
        #expect(manifest.files.first { $0.name == "pages-9.img" }?.digest == nil)
        try directory.seal(manifest)
        let sealed = try #require(try copy.open().manifest())
        #expect(sealed.files.first { $0.name == "pages-9.img" }?.digest == ImageDigest(of: large))
        let whole = try copy.open()
        #expect(whole.differences(from: sealed) == [] && whole.contentDifferences(from: sealed) == [])
        var changed = large
        changed[2 << 20] ^= 1
        try copy.put(changed, "pages-9.img")
        var small = try copy.get("seccomp.img")
        small[small.count - 1] ^= 1
        try copy.put(small, "seccomp.img")
        #expect(
            try copy.open().differences(from: sealed).map(\.object.path) == [copy.path.appending("seccomp.img").string])
        #expect(
            try copy.open().contentDifferences(from: sealed).map(\.object.path)
                == [copy.path.appending("pages-9.img").string])
    }

    @Test("Clearing takes the manifest and the images, and nothing else")
    func clearing() throws {
        let copy = try committed()
        try copy.put([1], "notes.txt")
        try copy.put([1], "dump.log")
        try copy.open().clear()
        #expect(try copy.open().fileNames() == ["dump.log", "notes.txt", "stats-dump"])
    }
}
