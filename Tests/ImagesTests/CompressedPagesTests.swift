import CCompression
import Diagnostics
import Images
import SystemPackage
import Testing

@Suite("Compressed pages")
struct CompressedPagesTests {
    /// Seven pages: text, zeros, noise, and text again.
    private static let pages: [[UInt8]] = [
        text(1), [UInt8](repeating: 0, count: 4096), noise(), text(2), text(3), text(4), noise(),
    ]

    private static func text(_ number: Int) -> [UInt8] {
        Array("page \(number) ".utf8.lazy.map { $0 }) + [UInt8](repeating: UInt8(number), count: 4096 - 7)
    }

    private static func noise() -> [UInt8] { (0..<4096).map { _ in .random(in: .min ... .max) } }

    /// As `lz4` makes a block of it; nothing for zeros, and what does not become smaller as it is.
    private static func packed(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.allSatisfy({ $0 == 0 }) { return [] }
        var output = [CChar](repeating: 0, count: bytes.count)
        // SAFETY: the library reads and writes no more than the numbers of bytes that it is told.
        let size = unsafe bytes.withUnsafeBytes {
            unsafe LZ4_compress_default(
                $0.baseAddress?.assumingMemoryBound(to: CChar.self), &output, Int32(bytes.count), Int32(bytes.count - 1)
            )
        }
        return size > 0 ? output.prefix(Int(size)).map { UInt8(bitPattern: $0) } : bytes
    }

    /// Two runs of them, a run that is not compressed between, and one of the parent's.
    private func images(region: Int) throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        let size = max(region, 1)
        func blocks(_ pages: ArraySlice<[UInt8]>) -> [[UInt8]] {
            stride(from: pages.startIndex, to: pages.endIndex, by: size).map { start in
                Self.packed(pages[start..<min(start + size, pages.endIndex)].flatMap { $0 })
            }
        }
        let (first, second) = (blocks(Self.pages[..<4]), blocks(Self.pages[4...]))
        var one = entry(0x1000, wide: 4, flags: 4)
        one.compressedSize = first.map { UInt32($0.count) }
        one.totalCompressedSize = first.reduce(0) { $0 + UInt64($1.count) }
        if region > 0 { one.regionPages = UInt32(region) }
        var other = entry(0x9000, compat: 3, wide: 3, flags: 6)
        other.compressedSize = second.map { UInt32($0.count) }
        other.regionPages = UInt32(region)
        try directory.putPagemap([one, entry(0x5000, wide: 1, flags: 4), entry(0x7000, wide: 1, flags: 1), other])
        try directory.put(first.flatMap { $0 } + Self.pages[6] + second.flatMap { $0 }, "pages-1.img")
        return directory
    }

    @Test("Pages come back as they were, whatever their blocks", arguments: [0, 1, 2, 3, 4, 1024])
    func roundTrip(region: Int) throws {
        let images = try images(region: region)
        let directory = try images.open()
        let map = try #require(try directory.pagemap(id: 7))
        #expect(map.runs.map(\.fileOffset) == [0, 4 * 4096, nil, 5 * 4096])
        #expect(map.storedSize == 8 * 4096)
        let file = try directory.pagesFile(map.pagesID)
        #expect(file.size == 8 * 4096)
        let expected = Self.pages[..<4] + [Self.pages[6]] + Self.pages[4...]
        #expect(try file.bytes(at: 0, count: file.size) == expected.flatMap { $0 })
        // It is made once, and leaves nothing behind.
        #expect(try directory.pagesFile(map.pagesID) === file)
        #expect(try directory.fileNames() == ["pagemap-7.img", "pages-1.img"])
    }

    @Test("A directory that cannot be written to is no obstacle")
    func elsewhere() throws {
        let images = try images(region: 2)
        let directory = try images.open()
        let map = try #require(try directory.pagemap(id: 7))
        // What has no name in it any more can have no other file in it either.
        for name in try directory.fileNames() where name.hasPrefix("pagemap") { try images.remove(name) }
        #expect(try directory.pagesFile(map.pagesID).bytes(at: 0, count: 4096) == Self.pages[0])
    }

    @Test(
        "Blocks that cannot be are refused",
        arguments: [
            ([100, 100, 100], nil, nil), ([], 0, nil), ([], nil, 2), ([1, 1, 1, 1], nil, 3),
            ([4097, 0, 0, 0], nil, nil),
            ([10, 10, 10, 10], 41, nil), ([0, 0, 0, 0], nil, 2), ([1], nil, 1025), ([.max], nil, 4),
        ] as [([UInt32], UInt64?, UInt32?)])
    func invalid(sizes: [UInt32], total: UInt64?, region: UInt32?) throws {
        let directory = try TemporaryDirectory()
        var run = entry(0x1000, wide: 4, flags: 4)
        run.compressedSize = sizes
        if let total { run.totalCompressedSize = total }
        if let region { run.regionPages = region }
        try directory.putPagemap([run])
        try directory.put([UInt8](repeating: 1, count: 8 * 4096), "pages-1.img")
        let problem = #expect(throws: Problem.self) { try directory.open().pagemap(id: 7) }
        #expect(problem?.code == .imageInvalid)
    }

    @Test("Blocks of what is not in the file are refused")
    func absent() throws {
        let directory = try TemporaryDirectory()
        var run = entry(0x1000, wide: 1, flags: 1)
        run.compressedSize = [0]
        try directory.putPagemap([run])
        let problem = #expect(throws: Problem.self) { try directory.open().pagemap(id: 7) }
        #expect(problem?.code == .imageInvalid)
    }

    @Test("A pages file that ends too early is refused by its page map, and a damaged block when it is read")
    func damaged() throws {
        let images = try images(region: 2)
        let whole = try images.get("pages-1.img")
        try images.put(whole.dropLast(), "pages-1.img")
        #expect(#expect(throws: Problem.self) { try images.open().pagemap(id: 7) }?.code == .imageTruncated)
        for damage in [[UInt8](repeating: 0xff, count: 40), [0], [UInt8](repeating: 0, count: 40)] {
            try images.put(damage + whole.dropFirst(damage.count), "pages-1.img")
            let directory = try images.open()
            let map = try #require(try directory.pagemap(id: 7))
            let problem = #expect(throws: Problem.self) { try directory.pagesFile(map.pagesID) }
            #expect(problem?.code == .imageInvalid && problem?.summary.contains("from 0 on is damaged") == true)
        }
    }

    @Test("Two page maps of one file have to agree")
    func contradiction() throws {
        let images = try images(region: 2)
        let directory = try images.open()
        _ = try directory.pagemap(id: 7)
        _ = try directory.pagemap(id: 7)
        try images.putPagemap([entry(0x1000, wide: 1, flags: 4)])
        _ = try directory.pagemap(id: 7)
        var run = entry(0x1000, wide: 1, flags: 4)
        run.compressedSize = [30]
        try images.putPagemap([run])
        #expect(#expect(throws: Problem.self) { try directory.pagemap(id: 7) }?.code == .imageInvalid)
    }

    @Test("A way of compression that is not known is refused by name")
    func unknown() throws {
        let copy = try TemporaryDirectory(copying: "count")
        var inventory = try copy.open().inventory()
        for (mode, isKnown) in [(0, true), (1, true), (2, true), (3, false)] as [(UInt32, Bool)] {
            inventory.compress = mode
            try copy.remove("inventory.img")
            var writer = try ImageWriter(creating: ImageKind.inventory.layout, in: copy.open())
            try writer.append(inventory)
            try writer.finish()
            if isKnown {
                #expect(try copy.open().inventory().compress == mode)
            } else {
                #expect(#expect(throws: Problem.self) { try copy.open().inventory() }?.code == .imageVersion)
            }
        }
    }
}
