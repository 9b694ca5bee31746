import Linux
import SystemPackage
import Testing

/// A directory of its own for a test, removed with what is in it.
final class TemporaryDirectory {
    let path: FilePath

    init() throws {
        path = FilePath("/tmp/apus-linux-tests-\(Processes.current)-\(UInt64.random(in: 0 ... .max))")
        try Files.makeDirectory(path, mode: 0o700)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: FilePath) {
        for entry in (try? Files.entries(of: path)) ?? [] {
            let child = path.appending(FilePath(bytes: entry.name).components)
            if entry.kind == 4 { remove(child) } else { try? Files.remove(child) }
        }
        try? Files.remove(path, isDirectory: true)
    }
}

@Suite struct FilesTests {
    @Test func writeAndReadBack() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("file")
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let file = try Files.open(path, [.readWrite, .create, .exclusive])
        try Files.write(file.raw, bytes)
        try Files.write(file.raw, [1, 2, 3], at: 10)
        var expected = bytes
        expected.replaceSubrange(10..<13, with: [1, 2, 3])
        #expect(try Files.contents(of: path) == expected)
        #expect(try Files.read(file.raw, count: 5, at: 9) == Array(expected[9..<14]))
        #expect(try Files.read(file.raw, count: 10, at: UInt64(bytes.count) - 4).count == 4)
        #expect(try Files.seek(file.raw, to: 0, whence: 1) == UInt64(bytes.count))
        try Files.sync(file.raw)
        try Files.truncate(file.raw, to: 7)
        let status = try Files.status(of: path)
        #expect(status.size == 7 && status.kind == .regular && status.permissions == 0o600 && status.linkCount == 1)
        #expect(try Files.status(ofDescriptor: file.raw) == status)
        #expect(status.modified.seconds > 1_600_000_000)
    }

    @Test func errorsAreTyped() throws {
        #expect(throws: Errno.noSuchFileOrDirectory) { _ = try Files.contents(of: "/no/such/file") }
        #expect(throws: Errno.notDirectory) { _ = try Files.entries(of: "/proc/self/stat") }
        #expect(throws: Errno.badFileDescriptor) { _ = try Files.statusFlags(1_000_000) }
    }

    @Test func longLinks() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("link")
        for length in [1, 255, 256, 257, 1024, 4095] {
            try Files.makeLink(path, to: FilePath(String(repeating: "x", count: length)))
            #expect(try Files.readLink(path).count == length)
            try Files.remove(path)
        }
    }

    @Test func namesThatAreNoText() throws {
        let directory = try TemporaryDirectory()
        let name = FilePath(bytes: [0xff, 0x0a, 0x20, 0x80])
        #expect(name.bytes == [0xff, 0x0a, 0x20, 0x80])
        let open = try Files.open(directory.path, .directory)
        do { _ = try Files.open(name, [.writeOnly, .create], at: open.raw) }
        #expect(try Files.entries(of: directory.path).map(\.name) == [[0xff, 0x0a, 0x20, 0x80]])
        try Files.rename(name, to: "plain", at: open.raw)
        #expect(try Files.entries(of: directory.path).map(\.name) == [Array("plain".utf8)])
    }

    @Test func aDirectoryOfManyNames() throws {
        let directory = try TemporaryDirectory()
        let names = (0..<2000).map { "a-name-of-some-length-\($0)" }
        for name in names { _ = try Files.open(directory.path.appending(name), [.writeOnly, .create]) }
        let entries = try Files.entries(of: directory.path)
        #expect(Set(entries.map { String(decoding: $0.name, as: UTF8.self) }) == Set(names))
        #expect(entries.count == names.count && entries.allSatisfy { $0.kind == 8 && $0.inode > 0 })
    }

    @Test func descriptorSettings() throws {
        let pipe = try Files.pipe(.nonBlocking)
        #expect(try Files.closesOnExec(pipe.first.raw))
        try Files.setClosesOnExec(pipe.first.raw, false)
        #expect(try !Files.closesOnExec(pipe.first.raw))
        #expect(try Files.statusFlags(pipe.second.raw).isSuperset(of: [.writeOnly, .nonBlocking]))
        try Files.setStatusFlags(pipe.second.raw, [])
        #expect(try !Files.statusFlags(pipe.second.raw).contains(.nonBlocking))
        let owner = Files.Owner(kind: .process, id: Processes.current)
        try Files.setOwner(pipe.first.raw, owner)
        #expect(try Files.owner(pipe.first.raw) == owner)
        try Files.setSignal(pipe.first.raw, 10)
        #expect(try Files.signal(pipe.first.raw) == 10)
        let copy = try Files.duplicate(pipe.first.raw, from: 500)
        #expect(copy.raw >= 500)
        #expect(try Processes.compare(Processes.current, Processes.current, .file(copy.raw, pipe.first.raw)) == .same)
    }

    @Test func pipesAndWhatIsInThem() throws {
        let from = try Files.pipe()
        let to = try Files.pipe()
        #expect(try Files.setPipeCapacity(from.first.raw, 16384) == 16384)
        #expect(try Files.pipeCapacity(from.second.raw) == 16384)
        try Files.write(from.second.raw, Array("queued".utf8))
        #expect(try Files.readableBytes(from.first.raw) == 6)
        #expect(try Files.tee(from: from.first.raw, to: to.second.raw, count: 100) == 6)
        #expect(try Files.readableBytes(from.first.raw) == 6)
        #expect(try Files.readSome(to.first.raw, atMost: 100) == Array("queued".utf8))
        #expect(try Files.splice(from: from.first.raw, to: to.second.raw, count: 100) == 6)
        #expect(try Files.readableBytes(from.first.raw) == 0)
        #expect(throws: Errno.resourceTemporarilyUnavailable) {
            try Files.tee(from: from.first.raw, to: to.second.raw, count: 1)
        }
    }

    @Test func polling() throws {
        let pair = try Files.socketPair()
        var entries = [Files.PollEntry(pair.first.raw, .readable), Files.PollEntry(pair.second.raw, .writable)]
        #expect(try Files.poll(&entries, timeout: 0) == 1)
        #expect(entries.map(\.returned) == [[], .writable])
        try Files.write(pair.second.raw, [7])
        #expect(try Files.poll(&entries, timeout: nil) == 2)
        var idle = [Files.PollEntry(pair.second.raw, .readable)]
        let before = SystemClock.monotonic.now
        #expect(try Files.poll(&idle, timeout: 20_000_000) == 0)
        #expect(SystemClock.monotonic.now - before >= 20_000_000)
    }

    @Test func memoryFilesAndMappings() throws {
        let file = try Files.memory(named: "test", executable: true)
        try Files.truncate(file.raw, to: 8192)
        let region = try MappedRegion(of: file.raw, count: 8192)
        let other = try MappedRegion(of: file.raw, offset: 4096, count: 4096, writable: false)
        region.store([1, 2, 3], at: 4096)
        region.store(0x1122_3344_5566_7788 as UInt64, at: 4200)
        #expect(other.bytes(in: 0..<4) == [1, 2, 3, 0])
        #expect(other.load(UInt64.self, at: 104) == 0x1122_3344_5566_7788)
        #expect(try Files.read(file.raw, count: 3, at: 4096) == [1, 2, 3])
        let sealed = try Files.memory(named: "sealed", allowSealing: true)
        try Files.addSeals(sealed.raw, 0x2)
        #expect(try Files.seals(sealed.raw) & 0x2 != 0)
    }

    @Test func holes() throws {
        let file = try Files.memory(named: "holes")
        let page = HostFacts.pageSize
        try Files.truncate(file.raw, to: 100 * page)
        #expect(try Files.dataRanges(of: file.raw, size: 100 * page).isEmpty)
        for index in [0, 5, 6, 50] as [UInt64] { try Files.write(file.raw, [1], at: index * page) }
        let expected = [0..<page, 5 * page..<7 * page, 50 * page..<51 * page]
        #expect(try Files.dataRanges(of: file.raw, size: 100 * page) == expected)
        #expect(try Files.dataRanges(of: file.raw, size: 6 * page) == [0..<page, 5 * page..<6 * page])
    }

    @Test func rangesOfDescriptors() throws {
        let first = try Files.duplicate(2, from: 9000).release()
        try Files.duplicate(2, as: first + 1)
        try Files.closeRange(UInt32(first), through: UInt32(first + 1))
        #expect(throws: Errno.badFileDescriptor) { _ = try Files.statusFlags(first) }
        #expect(throws: Errno.badFileDescriptor) { _ = try Files.statusFlags(first + 1) }
    }

    /// The reader of a pipe sees its end only when the last writer's descriptor is closed.
    @Test func ownershipEnds() throws {
        let pipe = try Files.pipe()
        let reader = pipe.first
        let writer = pipe.second
        try writer.close()
        #expect(try Files.readSome(reader.raw, atMost: 1).isEmpty)
    }

    @Test func deviceNumbers() {
        for (major, minor) in [(0, 0), (8, 1), (254, 0), (136, 264), (4095, 1 << 20 - 1)] as [(UInt32, UInt32)] {
            let number = DeviceNumber(major: major, minor: minor)
            #expect(DeviceNumber(encoded: number.encoded) == number)
        }
        #expect(DeviceNumber(major: 8, minor: 1).encoded == 0x801)
    }
}
