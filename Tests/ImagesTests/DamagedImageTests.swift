import Diagnostics
import Images
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite("Damaged images")
struct DamagedImageTests {
    /// One small file of each kind that the fixtures have.
    static let samples: [(kind: AnyImageKind, name: String, bytes: [UInt8])] = {
        var samples: [String: (AnyImageKind, String, [UInt8])] = [:]
        for name in Fixture.names {
            guard let directory = try? ImageDirectory(opening: Fixture.path(name)),
                let files = try? directory.fileNames()
            else { continue }
            for file in files {
                guard let (kind, _) = AnyImageKind.named(file), samples[kind.layout.kind] == nil,
                    let bytes = try? readFile(Fixture.path(name).appending(file)), bytes.count < 2000
                else { continue }
                samples[kind.layout.kind] = (kind, file, bytes)
            }
        }
        return samples.values.sorted { $0.1 < $1.1 }.map { (kind: $0.0, name: $0.1, bytes: $0.2) }
    }()

    @Test("A file cut anywhere but between two entries is reported as such")
    func truncation() throws {
        #expect(Self.samples.count > 25)
        let directory = try TemporaryDirectory()
        let images = try directory.open()
        for (kind, name, bytes) in Self.samples {
            try directory.put(bytes, name)
            let boundaries = try ends(of: kind, name, in: images)
            for length in 0..<bytes.count {
                try directory.put(Array(bytes[..<length]), name)
                let file = try #require(try images.file(named: name))
                do throws(Problem) {
                    _ = try kind.records(in: file)
                    #expect(boundaries.contains(UInt64(length)), "\(name) cut to \(length) bytes was taken")
                } catch {
                    #expect(error.code == .imageTruncated, "\(name) cut to \(length) bytes: \(error)")
                    #expect(!boundaries.contains(UInt64(length)))
                    #expect(error.object.path == directory.path.appending(name).string)
                }
            }
        }
    }

    /// Where the header and the entries of a file end.
    private func ends(of kind: AnyImageKind, _ name: String, in images: ImageDirectory) throws -> Set<UInt64> {
        let file = try #require(try images.file(named: name))
        var cursor = FrameCursor(file)
        try cursor.passHeader(of: kind.layout)
        let records = try kind.records(in: file)
        // A page map without its head is cut; the content of a deleted file may have any length.
        var ends = Set(records.map(\.payload.upperBound))
        if !name.hasPrefix("pagemap") { ends.insert(cursor.offset) }
        if kind.layout.kind == "GHOST_FILE" { ends.formUnion(records[0].payload.lowerBound...file.size) }
        return ends
    }

    @Test("A file with any byte changed is read or refused, and shown or refused")
    func corruption() throws {
        let directory = try TemporaryDirectory()
        let images = try directory.open()
        var random = SeededGenerator(seed: 42)
        var refused = 0
        for (kind, name, bytes) in Self.samples {
            for index in bytes.indices {
                var damaged = bytes
                damaged[index] ^= UInt8.random(in: 1...255, using: &random)
                try directory.put(damaged, name)
                let file = try #require(try images.file(named: name))
                do throws(Problem) {
                    _ = try kind.json(of: file)
                } catch {
                    refused += 1
                    #expect([.imageBadMagic, .imageBadFrame, .imageTruncated].contains(error.code))
                    // The two words of the header are always noticed.
                    #expect(!error.remedy.isEmpty)
                }
            }
        }
        #expect(refused > 1000)
    }

    @Test("A whole directory with any bytes changed is summed up or refused", .timeLimit(.minutes(2)))
    func corruptDirectory() throws {
        let directory = try TemporaryDirectory(copying: "files")
        let images = try directory.open()
        var random = SeededGenerator(seed: 7)
        let names = try images.fileNames().filter { !$0.hasPrefix("pages-") && $0.hasSuffix(".img") }
        var refused = 0
        for round in 0..<250 {
            let name = names[round % names.count]
            let bytes = try directory.get(name)
            var damaged = bytes
            for _ in 0...Int.random(in: 0...2, using: &random) {
                let index = Int.random(in: damaged.indices, using: &random)
                damaged[index] = UInt8.random(in: 0...255, using: &random)
            }
            try directory.put(damaged, name)
            do throws(Problems) { _ = try ImageSummary(of: images) } catch { refused += 1 }
            try directory.put(bytes, name)
        }
        #expect(refused > 60)
        _ = try CheckpointImages(reading: images)
    }

    @Test("Lengths that the file cannot have are refused before memory is taken")
    func hugeLengths() throws {
        let directory = try TemporaryDirectory()
        let magic: [UInt8] = [0x19, 0x43, 0x56, 0x54, 0x09, 0x37, 0x45, 0x56]
        // A frame of 4 GiB in a file of 12 bytes.
        try directory.put(magic + [0xff, 0xff, 0xff, 0xff], "pipes-data.img")
        let frame = #expect(throws: Problem.self) { try directory.open().messages(.pipesData) }
        #expect(frame?.code == .imageTruncated)
        // The same in a file that is as large, but empty: a hole.
        // SAFETY: the string lives as long as the call.
        #expect(unsafe truncate(directory.path.appending("pipes-data.img").string, 5 << 30) == 0)
        let sparse = #expect(throws: Problem.self) { try directory.open().messages(.pipesData) }
        #expect(sparse?.code == .imageBadFrame)
        // A small frame that announces 4 GiB of content.
        var entry = PipeDataEntry()
        (entry.pipeID, entry.bytes) = (1, .max)
        try directory.open().write([entry], as: .pipesData)
        let payload = #expect(throws: Problem.self) { try directory.open().payloads(.pipesData) }
        #expect(payload?.code == .imageTruncated)
        var message = IpcMsgEntry()
        message.desc = IpcDescEntry()
        (message.desc.key, message.desc.uid, message.desc.gid, message.desc.cuid) = (0, 0, 0, 0)
        (message.desc.cgid, message.desc.mode, message.desc.id, message.qbytes, message.qnum) = (0, 0, 0, 0, .max)
        try directory.open().write([message], as: .ipcMessages, id: 1)
        let queue = #expect(throws: Problem.self) { try directory.open().messages(.ipcMessages, id: 1) }
        #expect(queue?.code == .imageTruncated)
    }

    @Test("Links, directories and FIFOs in place of images are refused without waiting", .timeLimit(.minutes(1)))
    func notRegular() throws {
        let directory = try TemporaryDirectory()
        let target = Fixture.path("count").appending("pstree.img").string
        let path = directory.path.appending("pstree.img").string
        // SAFETY: the strings live as long as the calls.
        for make in [
            { unsafe symlink(target, path) }, { unsafe mkfifo(path, 0o600) }, { unsafe mkdir(path, 0o700) },
        ] {
            #expect(make() == 0)
            let problem = #expect(throws: Problem.self) { try directory.open().messages(.pstree) }
            #expect(problem?.code == .imageNotRegular)
            if unsafe unlink(path) != 0 { #expect(unsafe rmdir(path) == 0) }
        }
    }
}
