import Diagnostics
import Images
import SystemPackage
import Testing

@Suite("What the images say of memory beside the mappings")
struct MemoryTraitsTests {
    @Test("Traits come back as they were written")
    func roundTrip() throws {
        var traits = MemoryTraits()
        #expect(traits.isEmpty)
        traits.guards = [0x7fff_0000_1000..<0x7fff_0000_3000, 0x7fff_0001_0000..<0x7fff_0001_1000]
        traits.lockedOnFault = [0x1000..<0x2000]
        traits.sealed = [0x3000..<0x4000]
        traits.droppable = [0x5000..<0x9000]
        traits.names = [.init(range: 0x5000..<0x6000, name: [0xff, 0x20, 0x41])]
        traits.futureLocks = 6
        traits.keys = [1, 15]
        traits.keyed = [.init(range: 0x9000..<0xa000, key: 15), .init(range: 0xa000..<0xb000, key: 2)]
        let text = traits.json.text(indented: false)
        let parsed = try #require(JSON(parsing: Array(text.utf8)))
        #expect(MemoryTraits(parsed) == traits)
        #expect(traits.ranges.count == 8)
    }

    @Test(
        "What no dump could have written is refused",
        arguments: [
            #"{"guards":[[4096]]}"#, #"{"guards":[[8192,4096]]}"#, #"{"guards":[[1,4096]]}"#, #"{"sealed":["x"]}"#,
            #"{"unheardOf":1}"#, #"{"futureLocks":"all"}"#, #"{"names":[{"range":[0,4096]}]}"#, "[]",
            #"{"keys":[0]}"#, #"{"keys":[16]}"#, #"{"keys":[2,1]}"#, #"{"keyed":[{"range":[4096,8192]}]}"#,
            #"{"keyed":[{"range":[4096,8192],"key":16}]}"#,
        ])
    func nonsense(text: String) throws {
        #expect(MemoryTraits(try #require(JSON(parsing: Array(text.utf8)))) == nil)
    }

    @Test("A deleted file has its pieces, with holes and without")
    func ghosts() throws {
        let directory = try ImageDirectory(opening: Fixture.path("files"))
        let whole = try #require(try directory.ghost(id: 1))
        #expect(whole.size == 16 && whole.pieces.map(\.count) == [16])
        let piece = try #require(whole.pieces.first)
        #expect(try whole.image.bytes(at: piece.place, count: piece.count) == Array("deleted but open".utf8))
        let sparse = try #require(try directory.ghost(id: 2))
        #expect(sparse.size == 300_003 && sparse.entry.chunks)
        #expect(sparse.pieces.first?.offset == 0 && sparse.pieces.first?.count == 4096)
        #expect(try directory.ghost(id: 3) == nil)
    }

    @Test("A piece beyond the end of a deleted file is refused")
    func strayPiece() throws {
        let copy = try TemporaryDirectory(copying: "files")
        let directory = try copy.open()
        var entry = try #require(try directory.ghost(id: 2)).entry
        entry.size = 100
        var writer = try ImageWriter(creating: ImageKind.ghostFile.layout, id: 2, in: directory)
        try writer.append(entry)
        var chunk = GhostChunkEntry()
        (chunk.off, chunk.len) = (96, 8)
        try writer.append(chunk)
        try writer.append(raw: [UInt8](repeating: 1, count: 8))
        try writer.finish()
        #expect(throws: Problem.self) { try directory.ghost(id: 2) }
    }

    @Test("Segments of System V shared memory are found with their namespace")
    func segments() throws {
        let images = try CheckpointImages(reading: ImageDirectory(opening: Fixture.path("memory")))
        #expect(images.ownIPCNamespace == 9)
        #expect(images.segments.map(\.namespace) == [9])
        #expect(images.segments.first?.entry.desc.key == 0x4150_5553)
        #expect(images.segments.first?.payload.isEmpty == true)
        #expect(images.ipcSettings[9]?.shmCtlmni == 4096)
    }
}
