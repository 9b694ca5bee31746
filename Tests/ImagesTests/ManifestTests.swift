import Diagnostics
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

    @Test("Clearing takes the manifest and the images, and nothing else")
    func clearing() throws {
        let copy = try committed()
        try copy.put([1], "notes.txt")
        try copy.put([1], "dump.log")
        try copy.open().clear()
        #expect(try copy.open().fileNames() == ["dump.log", "notes.txt", "stats-dump"])
    }
}
