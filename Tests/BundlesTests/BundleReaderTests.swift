import Diagnostics
import Glibc
import Images
import SystemPackage
import Testing

@testable import Bundles

/// Bytes in memory, in pieces of any size.
private final class ArraySource: ByteSource {
    private var rest: ArraySlice<UInt8>
    private let step: Int

    init(_ bytes: [UInt8], step: Int = 1000) {
        rest = bytes[...]
        self.step = step
    }

    func next() -> [UInt8] {
        defer { rest = rest.dropFirst(step) }
        return Array(rest.prefix(step))
    }
}

/// A folder that goes away.
private func withFolder<Result>(_ body: (FilePath) throws -> Result) throws -> Result {
    let scratch = try ScratchDirectory(in: "/tmp")
    defer { scratch.remove() }
    return try body(try scratch.makeDirectory("test"))
}

private func mkdir(_ path: FilePath) { _ = unsafe path.withPlatformString { unsafe Glibc.mkdir($0, 0o700) } }

private func put(_ bytes: [UInt8], _ path: FilePath) throws {
    let file = try FileDescriptor.open(path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
    defer { try? file.close() }
    _ = try file.writeAll(bytes)
}

private func get(_ path: FilePath) throws -> [UInt8] {
    let file = try FileDescriptor.open(path, .readOnly)
    defer { try? file.close() }
    var bytes = [UInt8](repeating: 0, count: 4 << 20)
    let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
    return Array(bytes.prefix(count))
}

/// An image directory with something of all that there may be.
private func makeImages(_ folder: FilePath) throws -> ImageDirectory {
    let path = folder.appending("in")
    mkdir(path)
    let directory = try ImageDirectory(opening: path)
    try put(Array("inventory".utf8), path.appending("inventory.img"))
    try put((0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }, path.appending("pages-1.img"))
    try put([UInt8](repeating: 0, count: 300_000), path.appending("pages-2.img"))
    let shared = try directory.makeShared()
    try put(Array("shared".utf8), shared.path.appending("pages-1.img"))
    mkdir(path.appending("files"))
    try put(Array("copy".utf8), path.appending("files/0123abcd"))
    try directory.commit(toolVersion: "1", created: 1, durable: false)
    return directory
}

private func pack(_ directory: ImageDirectory, to path: FilePath, _ change: (inout BundleTarget) -> Void = { _ in })
    throws
{
    var target = BundleTarget(.file(path))
    change(&target)
    let writer = try BundleWriter(target, now: 5)
    try writer.pack(directory, .silent)
    try writer.seal()
}

private func unpack(
    _ bytes: [UInt8], _ folder: FilePath, keys: [AgeKey] = [], keepsPages: Bool = true, step: Int = 1000
) throws -> FilePath {
    let out = folder.appending("out\(UInt32.random(in: 0...UInt32.max))")
    mkdir(out)
    var reader = try BundleReader(ArraySource(bytes, step: step), keys: keys, into: out, keepsPages: keepsPages)
    try reader.run()
    return out
}

@Suite struct BundleReaderTests {
    @Test(arguments: [Compression.none, .lz4, .usual, .zstd(level: 19)])
    func `what is packed is unpacked`(_ compression: Compression) throws {
        try withFolder { folder in
            let directory = try makeImages(folder)
            let bundle = folder.appending("x.apus")
            try pack(directory, to: bundle) { $0.compression = compression }
            for step in [7, 100_000] {
                let out = try unpack(try get(bundle), folder, step: step)
                for name in [
                    "manifest.json", "inventory.img", "pages-1.img", "pages-2.img", "shared/pages-1.img",
                    "parent/pages-1.img", "files/0123abcd",
                ] {
                    #expect(
                        try get(out.pushing(FilePath(name))) == get(directory.path.pushing(FilePath(name))), "\(name)")
                }
            }
        }
    }

    /// What comes out ends just where a piece ends, or not.
    @Test(arguments: [Compression.none, .lz4, .usual], [-1, 0, 1])
    func `what is compressed is decompressed to its end`(_ compression: Compression, _ more: Int) throws {
        final class Collector: ByteSink {
            var bytes: [UInt8] = []
            func write(_ piece: [UInt8]) { bytes += piece }
            func finish() {}
        }
        for count in [pieceSize, 2 * pieceSize, 5 * pieceSize] {
            let bytes = (0..<count + more).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let collector = Collector()
            let sink = try compression.sink(into: collector)
            try sink.write(bytes)
            try sink.finish()
            for step in [1000, collector.bytes.count] {
                let source = try Compression.source(of: PeekedSource(ArraySource(collector.bytes, step: step)))
                var found: [UInt8] = []
                while true {
                    let piece = try source.next()
                    if piece.isEmpty { break }
                    found += piece
                }
                #expect(found == bytes, "\(count + more) bytes, \(step) at a time")
            }
        }
    }

    @Test func `pages can be left out`() throws {
        try withFolder { folder in
            let bundle = folder.appending("x.apus")
            let directory = try makeImages(folder)
            try put([UInt8](repeating: 1, count: 2 << 20), directory.path.appending("pages-3.img"))
            try directory.commit(toolVersion: "1", created: 1, durable: false)
            try pack(directory, to: bundle)
            let out = try unpack(try get(bundle), folder, keepsPages: false)
            #expect(try get(out.appending("pages-3.img")) == [UInt8](repeating: 0, count: 2 << 20))
            #expect(try get(out.appending("inventory.img")) == Array("inventory".utf8))
            // What is looked at anyway is whole.
            let manifest = try #require(try ImageDirectory(opening: out).manifest())
            #expect(try ImageDirectory(opening: out).differences(from: manifest).isEmpty)
        }
    }

    @Test(arguments: [Compression.none, .lz4, .usual])
    func `a bundle that ends early or was changed is refused`(_ compression: Compression) throws {
        try withFolder { folder in
            let bundle = folder.appending("x.apus")
            let directory = try makeImages(folder)
            try pack(directory, to: bundle) { $0.compression = compression }
            let (bytes, wanted) = (try get(bundle), try Self.content(directory.path))
            for count in [0, 1, 3, 100, 511, 512, 513, bytes.count / 2, bytes.count - 5000, bytes.count - 1]
            where count >= 0 {
                // The last zeros of a plain archive say nothing.
                if compression == .none && count > bytes.count - 1025 { continue }
                #expect(throws: Problem.self, "\(count)") { try unpack(Array(bytes.prefix(count)), folder) }
            }
            for place in stride(from: 0, to: bytes.count - 1024, by: bytes.count / 40) {
                var changed = bytes
                changed[place] ^= 0x10
                do {
                    // Compressed, some changes mean nothing: a repetition of zeros from another place, for instance.
                    let out = try unpack(changed, folder)
                    let content = try Self.content(out)
                    #expect(compression != .none && content == wanted, "\(place)")
                } catch is Problem {}
            }
        }
    }

    private static func content(_ path: FilePath) throws -> [[UInt8]] {
        try ["manifest.json", "inventory.img", "pages-1.img", "pages-2.img", "shared/pages-1.img", "files/0123abcd"]
            .map { try get(path.pushing(FilePath($0))) }
    }

    /// Unpacked by hand and packed again, it has one list of checksums, its own.
    @Test func `the list of an older bundle is not carried`() throws {
        try withFolder { folder in
            let directory = try makeImages(folder)
            try put(Array("0123  old.img\n".utf8), directory.path.appending("SHA256SUMS"))
            let bundle = folder.appending("x.apus")
            try pack(directory, to: bundle) { $0.compression = .none }
            _ = try unpack(try get(bundle), folder)
        }
    }

    @Test func `what has no end is no bundle`() throws {
        try withFolder { folder in
            let bundle = folder.appending("x.apus")
            let writer = try BundleWriter(BundleTarget(.file(bundle)), now: 5)
            try writer.pack(try makeImages(folder), .silent)
            #expect(throws: (any Error).self) { try get(bundle) }
        }
    }

    @Test func `what was never a bundle is not taken for one that is cut off`() throws {
        try withFolder { folder in
            let bundle = folder.appending("x.apus")
            try pack(try makeImages(folder), to: bundle) { $0.compression = .none }
            let whole = try get(bundle)
            func code(_ bytes: [UInt8]) -> Problem.Code? {
                do { _ = try unpack(bytes, folder) } catch { return (error as? Problem)?.code }
                return nil
            }
            for count in [1, 20, 511, 512, 600, whole.count / 2] {
                #expect(code(Array(whole.prefix(count))) == .bundleTruncated, "\(count)")
            }
            for text in ["x", "a line of text\n", String(repeating: "text ", count: 200)] {
                #expect(code(Array(text.utf8)) == .bundleInvalid, "\(text)")
            }
        }
    }

    @Test func `a file that is there is kept`() throws {
        try withFolder { folder in
            let bundle = folder.appending("x.apus")
            try put([1], bundle)
            let directory = try makeImages(folder)
            #expect { try pack(directory, to: bundle) } throws: { ($0 as? Problem)?.code == .bundleExists }
            #expect(try get(bundle) == [1])
            try pack(directory, to: bundle) { $0.overwrites = true }
            _ = try unpack(try get(bundle), folder)
        }
    }
}

/// Archives that somebody else has made.
@Suite struct ForgedBundleTests {
    private func member(_ header: TarHeader, _ content: [UInt8] = []) -> [UInt8] {
        (header.bytes ?? []) + content + [UInt8](repeating: 0, count: TarHeader.padding(behind: UInt64(content.count)))
    }

    private func file(_ path: String, _ content: [UInt8], size: UInt64? = nil) -> [UInt8] {
        member(.init(kind: .file, path: path, size: size ?? UInt64(content.count)), content)
    }

    private func manifest(_ files: [(String, Int)], digest: String? = nil) -> [UInt8] {
        let more = digest.map { #","xxh128":"\#($0)""# } ?? ""
        let list = files.map { #"{"name":"\#($0.0)","size":\#($0.1)\#(more)}"# }.joined(separator: ",")
        let text = #"{"format_version":1,"tool_version":"1","created":1,"files":[\#(list)]}"#
        return file("manifest.json", Array(text.utf8))
    }

    /// The header of a member that no bundle has, with the sum put right.
    private func raw(_ name: String, kind: UInt8, target: String = "", size: UInt64 = 0) -> [UInt8] {
        var bytes = TarHeader(kind: .file, path: "x", size: size).bytes ?? []
        bytes.replaceSubrange(0..<1, with: [0])
        bytes.replaceSubrange(0..<name.utf8.count, with: Array(name.utf8))
        bytes[156] = kind
        bytes.replaceSubrange(157..<157 + target.utf8.count, with: Array(target.utf8))
        for index in 148..<156 { bytes[index] = 0x20 }
        let sum = String(bytes.reduce(0) { $0 + Int($1) }, radix: 8)
        let padded = String(repeating: "0", count: 6 - sum.utf8.count) + sum
        bytes.replaceSubrange(148..<154, with: Array(padded.utf8))
        bytes[154] = 0
        return bytes
    }

    @Test func `nothing that reaches out of the directory is taken`() throws {
        try withFolder { folder in
            mkdir(folder.appending("outside"))
            let cases: [(String, [UInt8])] = [
                ("dot dot", raw("../outside/x.img", kind: 0x30)),
                ("absolute", raw("\(folder.string.prefix(60))/outside/x.img", kind: 0x30)),
                ("within", raw("a/../../outside/x", kind: 0x30)),
                ("symbolic link", raw("parent", kind: 0x32, target: "../outside")),
                ("symbolic link of another name", raw("link", kind: 0x32, target: "shared")),
                ("hard link", raw("x.img", kind: 0x31, target: "manifest.json")),
                ("character device", raw("x.img", kind: 0x33)), ("block device", raw("x.img", kind: 0x34)),
                ("fifo", raw("x.img", kind: 0x36)), ("pax header", raw("x.img", kind: 0x78)),
                ("GNU long name", raw("x.img", kind: 0x4c)), ("sparse", raw("x.img", kind: 0x53)),
                ("no directory", file("nowhere/x.img", [1])),
                (
                    "through a link",
                    member(.init(kind: .link, path: "parent", target: "shared")) + file("parent/x.img", [1])
                ),
            ]
            for (name, bytes) in cases {
                #expect(throws: Problem.self, "\(name)") { try unpack(manifest([]) + bytes, folder) }
            }
            let outside = try FileDescriptor.open(folder.appending("outside"), .readOnly)
            #expect(outside.entries.isEmpty)
        }
    }

    @Test func `order, repetition and sizes are held against the manifest`() throws {
        try withFolder { folder in
            let list = [("a.img", 1), ("b.img", 1)]
            let cases: [(String, [UInt8])] = [
                ("no manifest", file("a.img", [1])),
                ("reordered", manifest(list) + file("b.img", [1]) + file("a.img", [1])),
                ("twice", manifest(list) + file("a.img", [1]) + file("a.img", [1])),
                ("second manifest", manifest(list) + manifest([])),
                ("larger", manifest(list) + file("a.img", [1, 2])),
                ("a lie", manifest(list) + file("a.img", [1], size: 1 << 40)),
                ("unlisted and huge", manifest(list) + file("a.dat", [1], size: 1 << 60)),
                ("listed and huge", manifest([("a.img", 1 << 60)]) + file("a.img", [1], size: 1 << 60)),
                ("listed twice", manifest([("a.img", 1), ("a.img", 1)])),
                ("missing", manifest(list) + file("a.img", [1]) + file("SHA256SUMS", [])),
                ("end", manifest([]) + [UInt8](repeating: 0, count: 1024)),
                (
                    "of another content",
                    manifest([("a.img", 1)], digest: String(repeating: "0", count: 32)) + file("a.img", [1])
                ),
            ]
            for (name, bytes) in cases {
                #expect(throws: Problem.self, "\(name)") { try unpack(bytes, folder) }
            }
        }
    }

    /// Thousands of damaged archives, always the same ones: each ends in images or in a problem.
    @Test func `damage of all sorts ends in a problem or in what was packed`() throws {
        try withFolder { folder in
            let good =
                manifest([("a.img", 700), ("b.img", 3)])
                + file("a.img", [UInt8](repeating: 7, count: 700)) + file("b.img", [1, 2, 3])
            var state: UInt64 = 42
            func random(_ bound: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(state >> 33) % bound
            }
            var outcomes = 0
            for _ in 0..<3000 {
                var bytes = good
                for _ in 0...random(3) {
                    switch random(4) {
                    case 0: bytes[random(bytes.count)] = UInt8(random(256))
                    case 1: bytes.removeLast(random(bytes.count / 2))
                    case 2:
                        bytes.insert(contentsOf: bytes[..<(512 * (1 + random(2)))], at: 512 * random(bytes.count / 512))
                    default:
                        // A header with its sum put right gets farther than one without.
                        let start = 512 * random(bytes.count / 512)
                        guard var header = try? TarHeader.read(Array(bytes[start..<start + 512])) else { continue }
                        header.size = [0, 1, 699, 701, 1 << 33, 1 << 62][random(6)]
                        if random(2) == 0 {
                            header.path = ["a.img", "b.img", "manifest.json", "SHA256SUMS"][random(4)]
                        }
                        bytes.replaceSubrange(start..<start + 512, with: header.bytes ?? [])
                    }
                }
                do { _ = try unpack(bytes, folder) } catch is Problem { outcomes += 1 }
            }
            #expect(outcomes > 2900)
        }
    }

    @Test func `zeros without end take no time and no room`() throws {
        try withFolder { folder in
            // 40 MiB of zeros in a few kilobytes, in a file that should have one byte.
            final class Collector: ByteSink {
                var bytes: [UInt8] = []
                func write(_ piece: [UInt8]) { bytes += piece }
                func finish() {}
            }
            let collector = Collector()
            let sink = ZstdSink(level: 19, into: collector)
            try sink.write(manifest([("a.img", 1)]) + file("a.img", [], size: 40 << 20))
            for _ in 0..<40 { try sink.write([UInt8](repeating: 0, count: 1 << 20)) }
            try sink.finish()
            #expect(throws: Problem.self) { try unpack(collector.bytes, folder) }
        }
    }
}

extension FileDescriptor {
    /// The names in a directory, by way of `/proc`.
    fileprivate var entries: [String] {
        defer { try? close() }
        guard let stream = unsafe fdopendir(Glibc.dup(rawValue)) else { return [] }
        defer { unsafe _ = closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}
