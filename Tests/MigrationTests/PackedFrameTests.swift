import Bundles
import Checkpoint
import Diagnostics
import Images
import Linux
import Memory
import Testing
import Tracing

@testable import Migration

@Suite struct PackedFrameTests {
    private static let page = UInt64(4096)

    /// Pages out of an array, by their places in it.
    private struct Paper: PageSource {
        let bytes: [UInt8]

        func runs() throws(Problem) -> [StoredRun] { [] }

        @unsafe func read(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
            var place = 0
            for piece in pieces {
                for address in piece.address..<piece.address + piece.size {
                    unsafe buffer[place] = bytes[Int(address)]
                    place += 1
                }
            }
        }
    }

    /// One page for each number, filled with it.
    private func paper(_ pages: [UInt8]) -> Paper {
        Paper(bytes: pages.flatMap { [UInt8](repeating: $0, count: 4096) })
    }

    private func runs(_ ranges: [Range<UInt64>]) -> [StoredRun] {
        ranges.map {
            StoredRun(address: $0.lowerBound * Self.page, size: UInt64($0.count) * Self.page, flags: .isPresent)
        }
    }

    /// What a batch becomes: the frame as it would travel.
    private func frame(_ batch: inout PageBatch) throws(Problem) -> Frame {
        let kind = batch.seal()
        return try unsafe batch.withBody { body in Frame(kind: kind, body: unsafe Array(body)) }
    }

    // MARK: Zeros

    @Test func `pages of zeros take no bytes`() throws {
        let source = paper([1, 0, 0, 2, 0, 3, 3, 0])
        var batch = try PageBatch(runs([0..<5, 5..<8]), of: .process(7), from: source)
        let sent = try frame(&batch)
        #expect(sent.kind == .sparse && batch.zeros == 4 * Self.page && batch.size == 8 * Self.page)
        let read = try PageFrame(sent.body, isSparse: true)
        #expect(read.space == .process(7) && read.size == 8 * Self.page)
        #expect(
            read.pieces == [
                .init(address: 0, size: Self.page), .init(address: Self.page, size: 2 * Self.page, isZeros: true),
                .init(address: 3 * Self.page, size: Self.page),
                .init(address: 4 * Self.page, size: Self.page, isZeros: true),
                .init(address: 5 * Self.page, size: 2 * Self.page),
                .init(address: 7 * Self.page, size: Self.page, isZeros: true),
            ])
        let content = sent.body[read.start...]
        #expect(stride(from: content.startIndex, to: content.endIndex, by: 4096).map { content[$0] } == [1, 2, 3, 3])
        // Sixteen bytes for each piece, sixteen before them, and the pages.
        #expect(sent.body.count == 16 + 6 * 16 + 4 * 4096)
    }

    @Test func `a megabyte of zeros takes a line`() throws {
        let source = paper([UInt8](repeating: 0, count: 256))
        var batch = try PageBatch(runs([0..<256]), of: .shared(1), from: source)
        #expect(try frame(&batch).body.count == 32)
    }

    @Test func `pages without zeros travel as ever`() throws {
        let source = paper([1, 2])
        var batch = try PageBatch(runs([0..<1, 1..<2]), of: .process(7), from: source)
        let sent = try frame(&batch)
        #expect(sent.kind == .pages && batch.zeros == 0)
        #expect(try PageFrame(sent.body, isSparse: false).pieces.count == 2)
        // A page that has one byte only, at its very end, is none of zeros.
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes[4095] = 1
        var last = try PageBatch(runs([0..<1]), of: .process(7), from: Paper(bytes: bytes))
        #expect(try frame(&last).kind == .pages)
    }

    @Test func `marks of zeros that lie are refused`() throws {
        func body(_ pieces: [(UInt64, UInt64)], bytes: Int) -> [UInt8] {
            var body: [UInt8] = []
            PageSpace.process(1).append(to: &body)
            body.append(littleEndian: UInt32(pieces.count))
            for (address, size) in pieces {
                body.append(littleEndian: address)
                body.append(littleEndian: size)
            }
            return body + [UInt8](repeating: 1, count: bytes)
        }
        #expect(try PageFrame(body([(0, 4097)], bytes: 0), isSparse: true).size == 4096)
        let lies: [([(UInt64, UInt64)], Int)] = [
            ([(0, 4097)], 1), ([(0, 4096)], 0), ([(0, 1)], 0), ([(0, 4098)], 4096), ([(1, 4097)], 0),
            ([(UInt64.max - 4095, 4097)], 0), ([(0, 1 << 60 | 1)], 0), ([(0, 8 << 20 | 1), (8 << 20, 4097)], 0),
            ([(0, 4097), (4096, 4096)], 0), ([(0, UInt64.max)], 0),
        ]
        for (pieces, bytes) in lies {
            #expect(throws: Problem.self, "\(pieces)") { try PageFrame(body(pieces, bytes: bytes), isSparse: true) }
        }
        // Elsewhere there is no such mark.
        #expect(throws: Problem.self) { try PageFrame(body([(0, 4097)], bytes: 0), isSparse: false) }
    }

    @Test func `the store keeps zeros, and what they take the place of is gone`() throws {
        let store = PageStore()
        let base: UInt64 = (2 << 20) - 2 * Self.page
        func take(_ pages: [UInt8]) throws {
            let source = Paper(
                bytes: [UInt8](repeating: 0, count: Int(base)) + paper(pages).bytes)
            var batch = try PageBatch(
                [StoredRun(address: base, size: UInt64(pages.count) * Self.page, flags: .isPresent)], of: .process(5),
                from: source)
            let sent = try frame(&batch)
            #expect(try store.take(sent.body, isSparse: sent.kind == .sparse) == UInt64(pages.count) * Self.page)
        }
        func seen() throws -> [UInt8] {
            try store.locate(.init(address: base, pages: 4, layer: 0, pagesID: 1, fileOffset: 0)).flatMap { one in
                let file = try #require(store.file(one.pagesID))
                return try (0..<one.pages).map {
                    try #require(try Files.read(file, count: 1, at: one.fileOffset + $0 * Self.page).first)
                }
            }
        }
        var layout: [UInt8] = [0, 0, 0, 0, 1, 0, 0, 0]
        PageSpace.process(5).append(to: &layout)
        layout.append(littleEndian: base)
        layout.append(littleEndian: 4 * Self.page)
        try store.takeLayout(layout)
        // Zeros that come first are there, over the bound of a chunk.
        try take([0, 0, 0, 0])
        #expect(try seen() == [0, 0, 0, 0])
        try take([1, 2, 3, 4])
        try take([1, 0, 0, 5])
        #expect(try seen() == [1, 0, 0, 5])
        try take([0, 6, 0, 0])
        #expect(try seen() == [0, 6, 0, 0])
    }

    // MARK: Compression

    private static let ways: [Compression] = [.lz4, .usual, .zstd(level: 1), .zstd(level: 19)]

    private func packed(_ inner: Frame, _ way: Compression) throws -> [UInt8] {
        let codec = try #require(way.codec)
        var room = [UInt8](repeating: 0, count: inner.body.count + 1000)
        let count = unsafe inner.body.withUnsafeBytes { input in
            unsafe room.withUnsafeMutableBytes { unsafe BlockPacker().pack(input, by: way, into: $0) }
        }
        return PackedFrame.head(inner.kind, codec, size: inner.body.count) + room[..<(try #require(count))]
    }

    /// Something that can be compressed, but not to nothing.
    private let inner = Frame(kind: .pages, body: (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 7) })

    @Test(arguments: ways)
    func `what is packed comes out as it was`(_ way: Compression) throws {
        let body = try packed(inner, way)
        #expect(body.count < inner.body.count)
        let opened = try PackedFrame.open(body, BlockUnpacker())
        #expect(opened.kind == .pages && opened.body == inner.body)
    }

    @Test(arguments: ways)
    func `damaged frames are refused`(_ way: Compression) throws {
        let body = try packed(inner, way)
        let unpacker = BlockUnpacker()
        for end in [0, 3, 4, 11, 12, 13, body.count / 2, body.count - 1] {
            #expect(throws: Problem.self, "\(end)") { try PackedFrame.open(Array(body[..<end]), unpacker) }
        }
        // A byte that is another one may come out as other bytes, where there is no checksum: as many as were said, or none.
        for place in stride(from: 12, to: body.count, by: 37) {
            var other = body
            other[place] ^= 0x55
            if let opened = try? PackedFrame.open(other, unpacker) { #expect(opened.body.count == inner.body.count) }
        }
        #expect(try PackedFrame.open(body, unpacker).body == inner.body, "the one before has left something behind")
    }

    @Test(arguments: ways)
    func `sizes that lie are refused`(_ way: Compression) throws {
        let body = try packed(inner, way)
        for size in [
            0, 1, inner.body.count - 1, inner.body.count + 1, Frame.longestBody, Frame.longestBody + 1, 1 << 31,
        ] {
            var other = body
            for byte in 0..<4 { other[8 + byte] = UInt8(truncatingIfNeeded: size >> (8 * byte)) }
            #expect(throws: Problem.self, "\(size)") { try PackedFrame.open(other, BlockUnpacker()) }
        }
    }

    /// A gigabyte of zeros in some kilobytes: no more comes out than may.
    @Test func `a bomb does not go off`() throws {
        var room = [UInt8](repeating: 0, count: 1 << 20)
        let bomb = [UInt8](repeating: 0, count: 64 << 20)
        for way in Self.ways.prefix(3) {
            let codec = try #require(way.codec)
            let count = unsafe bomb.withUnsafeBytes { input in
                unsafe room.withUnsafeMutableBytes { unsafe BlockPacker().pack(input, by: way, into: $0) }
            }
            let block = room[..<(try #require(count))]
            for size in [1 << 20, Frame.longestBody, bomb.count] {
                #expect(throws: Problem.self) {
                    try PackedFrame.open(PackedFrame.head(.pages, codec, size: size) + block, BlockUnpacker())
                }
            }
        }
    }

    @Test func `only what may be packed is`() throws {
        let body = try packed(inner, .lz4)
        func with(_ place: Int, _ value: UInt8) -> [UInt8] {
            var other = body
            other[place] = value
            return other
        }
        for kind in [Frame.Kind.hello, .rehearsed, .last, .release, .abort, .packed, .layout] {
            #expect(throws: Problem.self, "\(kind)") { try PackedFrame.open(with(0, kind.rawValue), BlockUnpacker()) }
        }
        for (place, value) in [(0, UInt8(0)), (0, 99), (1, 1), (3, 1), (4, 0), (4, 2), (4, 3), (5, 1), (7, 255)] {
            #expect(throws: Problem.self) { try PackedFrame.open(with(place, value), BlockUnpacker()) }
        }
    }
}
