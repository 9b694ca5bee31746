import Diagnostics
import SystemPackage
import Testing

@testable import Images

/// Does the last part first.
private struct Backwards: Workforce {
    func map<Part: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Part) -> [Part] {
        (0..<count).reversed().map(body).reversed()
    }
}

/// What comes of an image directory does not depend on who works at it.
@Suite("Workforces")
struct WorkforceTests {
    @Test func aManifestIsTheSame() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let alone = try copy.open().commit(toolVersion: "1", created: 1, durable: false)
        #expect(!alone.files.isEmpty && alone.files.allSatisfy { $0.digest != nil })
        #expect(try copy.open().commit(toolVersion: "1", created: 1, durable: false, by: Backwards()) == alone)
    }

    @Test func differencesAreInTheOrderOfTheManifest() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let manifest = try copy.open().commit(toolVersion: "1", created: 1, durable: false)
        for name in ["fs-31000.img", "seccomp.img"] {
            var bytes = try copy.get(name)
            bytes[bytes.count - 1] ^= 1
            try copy.put(bytes, name)
        }
        try copy.remove("pages-1.img")
        let found = try copy.open().differences(from: manifest, by: Backwards())
        #expect(found == (try copy.open().differences(from: manifest)))
        #expect(
            found.map(\.object.path)
                == ["fs-31000.img", "pages-1.img", "seccomp.img"].map { copy.path.appending($0).string })
    }

    @Test func connectionsAreReadByAll() throws {
        let directory = try ImageDirectory(opening: Fixture.path("tcp"))
        let images = try CheckpointImages(reading: directory, by: Backwards())
        #expect(!images.streams.isEmpty)
        #expect(images.streams == (try CheckpointImages(reading: directory).streams))
    }

    /// A file may have grown, or been cut off, since somebody asked for its size.
    @Test(arguments: [0, 1, 4095, 4097, 9000, 9001, 1 << 30, .max] as [UInt64])
    func aDigestIsOfTheWholeFile(expecting size: UInt64) throws {
        let copy = try TemporaryDirectory()
        let bytes = (0..<9000).map { UInt8(truncatingIfNeeded: $0) }
        try copy.put(bytes, "x")
        let file = try FileDescriptor.open(copy.path.appending("x"), .readOnly)
        defer { try? file.close() }
        #expect(try ImageDigest.read(file.rawValue, expecting: size) == ImageDigest(of: bytes))
        #expect(try ContentDigest.read(file.rawValue)?.size == 9000)
    }
}
