import Checkpoint
import Diagnostics
import Images
import Linux
import Testing
import Tracing

@testable import Migration
@testable import Restore

@Suite struct PageStoreTests {
    /// Against a set of numbers, by chance.
    @Test func `sets of pages`() {
        var (pages, model) = (PageStore.PageSet(), Set<Int>())
        for round in 0..<2000 {
            let first = Int.random(in: 0...PageStore.pagesOfChunk)
            // Long ones, short ones, and such as begin or end with a word.
            let length = [Int.random(in: 0...3), Int.random(in: 0...512), 64 - first % 64, 64].randomElement() ?? 0
            let range = first..<min(first + length, PageStore.pagesOfChunk)
            if Bool.random() {
                pages.insert(range)
                model.formUnion(range)
            } else {
                pages.remove(range)
                model.subtract(range)
            }
            let runs = pages.runs
            #expect(runs.flatMap(\.self) == model.sorted(), "round \(round)")
            #expect(zip(runs, runs.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
            let (from, limit) = (Int.random(in: 0..<512), Int.random(in: 1...512))
            if from < limit {
                let run = pages.run(from: from, to: limit)
                let kind = model.contains(from)
                #expect(run.lowerBound == from && run.upperBound <= limit)
                #expect(run.allSatisfy { model.contains($0) == kind && pages.contains($0) == kind })
                #expect(run.upperBound == limit || model.contains(run.upperBound) != kind)
            }
        }
    }

    private static let page = UInt64(4096)

    private func body(_ space: PageSpace, _ pieces: [(UInt64, UInt64)], filling: [UInt8]) -> [UInt8] {
        var body: [UInt8] = []
        space.append(to: &body)
        body.append(littleEndian: UInt32(pieces.count))
        for (address, size) in pieces {
            body.append(littleEndian: address)
            body.append(littleEndian: size)
        }
        for (index, (_, size)) in pieces.enumerated() {
            body += [UInt8](repeating: filling[index], count: Int(size))
        }
        return body
    }

    private func layout(_ id: UInt32, _ parts: [(PageSpace, UInt64, UInt64)], layer: UInt32 = 0) -> [UInt8] {
        var body: [UInt8] = []
        body.append(littleEndian: layer)
        body.append(littleEndian: id)
        for (space, address, size) in parts {
            space.append(to: &body)
            body.append(littleEndian: address)
            body.append(littleEndian: size)
        }
        return body
    }

    /// What the store has at an address, by way of a page map that says so.
    private func bytes(_ store: PageStore, _ segment: PageLayers.Segment) throws -> [UInt8] {
        var found: [UInt8] = []
        for one in try store.locate(segment) {
            let file = try #require(store.file(one.pagesID))
            for index in 0..<one.pages {
                found += try Files.read(file, count: 1, at: one.fileOffset + index * Self.page)
            }
        }
        return found
    }

    @Test func `the latest state of a page is found, wherever it came in`() throws {
        let store = PageStore()
        let base: UInt64 = 0x7f00_0000_0000 + (2 << 20) - 2 * Self.page
        // Over the bound of a chunk, then some of it again, and of another process in between.
        #expect(
            try store.take(body(.process(5), [(base, 4 * Self.page)], filling: [1])) == 4 * Self.page)
        _ = try store.take(body(.process(6), [(base, 4 * Self.page)], filling: [9]))
        _ = try store.take(
            body(.process(5), [(base + Self.page, Self.page), (base + 3 * Self.page, Self.page)], filling: [2, 3]))
        try store.takeLayout(layout(1, [(.process(5), base, 4 * Self.page)]))
        try store.takeLayout(layout(2, [(.process(6), base, Self.page)]))
        try store.takeLayout(layout(2, [(.process(5), base + Self.page, Self.page)]))
        let whole = PageLayers.Segment(address: base, pages: 4, layer: 0, pagesID: 1, fileOffset: 0)
        #expect(try bytes(store, whole) == [1, 2, 1, 3])
        let rest = PageLayers.Segment(
            address: base + 2 * Self.page, pages: 2, layer: 0, pagesID: 1, fileOffset: 2 * Self.page)
        #expect(try bytes(store, rest) == [1, 3])
        // A file of pages of two processes.
        let mixed = PageLayers.Segment(address: base, pages: 2, layer: 0, pagesID: 2, fileOffset: 0)
        #expect(try bytes(store, mixed) == [9, 2])
    }

    private func late(_ space: PageSpace, _ runs: [(UInt64, UInt64)], count: Int? = nil) -> [UInt8] {
        var body: [UInt8] = []
        space.append(to: &body)
        body.append(littleEndian: UInt32(count ?? runs.count))
        for (address, size) in runs {
            body.append(littleEndian: address)
            body.append(littleEndian: size)
        }
        return body
    }

    /// What is out of date is in neither place, until it comes once more; what is in its place already is told.
    @Test func `what is out of date is no page`() throws {
        let store = PageStore()
        let pid = Processes.current
        try unsafe withMemory(pages: 8) { memory, base in
            store.fill(try EarlyMemory(of: pid, [pid: [base + 2 * Self.page..<base + 6 * Self.page]]))
            _ = try store.take(body(.process(pid), [(base, 8 * Self.page)], filling: [1]))
            try store.takeLayout(layout(1, [(.process(pid), base, 8 * Self.page)]))
            let outdated = late(
                .process(pid), [(base + Self.page, 2 * Self.page), (base + 5 * Self.page, 2 * Self.page)])
            #expect(
                try store.forget(outdated) == [
                    base + 2 * Self.page..<base + 3 * Self.page, base + 5 * Self.page..<base + 6 * Self.page,
                ])
            #expect(store.late.isEmpty)
            #expect(store.pagesInPlace(of: pid) == [base + 3 * Self.page..<base + 5 * Self.page])
            let whole = PageLayers.Segment(address: base, pages: 8, layer: 0, pagesID: 1, fileOffset: 0)
            #expect(throws: Problem.self) { try store.locate(whole) }
            _ = try store.take(
                body(
                    .process(pid), [(base + Self.page, 2 * Self.page), (base + 5 * Self.page, 2 * Self.page)],
                    filling: [2, 3]))
            #expect(try store.locate(whole).map(\.pages) == [2, 4, 2])
            let there = (2..<6).map { unsafe memory[$0 * 4096] }
            #expect(there == [2, 1, 1, 3])
            // Of what nobody knows nothing is there.
            #expect(try store.forget(late(.process(4711), [(base, Self.page)])) == [])
            #expect(throws: Problem.self) { try store.forget([1, 2, 3]) }
        }
    }

    /// What was there before it was out of date does not come back when it comes as zeros.
    @Test func `zeros come in place of what was out of date`() throws {
        let store = PageStore()
        let base: UInt64 = 0x7f00_0000_0000
        _ = try store.take(body(.process(5), [(base, 3 * Self.page)], filling: [1]))
        _ = try store.forget(late(.process(5), [(base + Self.page, Self.page)]))
        var zeros: [UInt8] = []
        PageSpace.process(5).append(to: &zeros)
        zeros.append(littleEndian: UInt32(1))
        zeros.append(littleEndian: base + Self.page)
        zeros.append(littleEndian: Self.page | 1)
        _ = try store.take(zeros, isSparse: true)
        try store.takeLayout(layout(1, [(.process(5), base, 3 * Self.page)]))
        let whole = PageLayers.Segment(address: base, pages: 3, layer: 0, pagesID: 1, fileOffset: 0)
        #expect(try bytes(store, whole) == [1, 0, 1])
    }

    /// Also what came of it before: it was written to since.
    @Test func `what follows is no part of what is read`() throws {
        let store = PageStore()
        let base: UInt64 = 0x7f00_0000_0000 + (2 << 20) - 2 * Self.page
        _ = try store.take(body(.process(5), [(base, 4 * Self.page)], filling: [1]))
        try store.takeLayout(layout(1, [(.process(5), base, 6 * Self.page)]))
        try store.takeLate(
            late(.process(5), [(base + Self.page, 2 * Self.page), (base + 4 * Self.page, 2 * Self.page)]))
        let whole = PageLayers.Segment(address: base, pages: 6, layer: 0, pagesID: 1, fileOffset: 0)
        #expect(try store.locate(whole).map(\.address) == [base, base + 3 * Self.page])
        #expect(try store.locate(whole).map(\.pages) == [1, 1])
        #expect(
            store.late == [5: [base + Self.page..<base + 3 * Self.page, base + 4 * Self.page..<base + 6 * Self.page]])
        #expect(PageStore().late.isEmpty)
    }

    @Test func `what follows is private memory of some size`() throws {
        let store = PageStore()
        for malformed in [
            late(.shared(1), [(0x10000, Self.page)]), late(.process(5), [(0x10001, Self.page)]),
            late(.process(5), [(0x10000, 100)]), late(.process(5), [(0x10000, 0)]),
            late(.process(5), [(0x10000, Self.page)], count: 2), late(.process(5), [(0x10000, 1 << 43)]),
            late(.process(5), [(UInt64.max - Self.page + 1, Self.page)]), [1, 2, 3],
        ] {
            #expect(throws: Problem.self) { try store.takeLate(malformed) }
        }
        #expect(store.late.isEmpty)
    }

    /// Also behind all that was ever written of the last place of the file.
    @Test func `zeros can be read wherever they are marked`() throws {
        for (zeros, expected) in [(1, [7, 0, 0, 0]), (0, [0, 0, 0, 7])] as [(UInt64, [UInt8])] {
            let store = PageStore()
            let base: UInt64 = 0x7f00_0000_0000
            // The pages that are not zeros come in a frame before.
            let full = base + (1 - zeros) * 3 * Self.page
            _ = try store.take(body(.process(5), [(full, Self.page)], filling: [7]))
            var marked: [UInt8] = []
            PageSpace.process(5).append(to: &marked)
            marked.append(littleEndian: UInt32(1))
            marked.append(littleEndian: base + zeros * Self.page)
            marked.append(littleEndian: 3 * Self.page | 1)
            #expect(try store.take(marked, isSparse: true) == 3 * Self.page)
            try store.takeLayout(layout(1, [(.process(5), base, 4 * Self.page)]))
            let whole = PageLayers.Segment(address: base, pages: 4, layer: 0, pagesID: 1, fileOffset: 0)
            #expect(try bytes(store, whole) == expected)
        }
    }

    @Test func `what has not come is no page`() throws {
        let store = PageStore()
        _ = try store.take(body(.shared(3), [(0, Self.page)], filling: [1]))
        try store.takeLayout(layout(1, [(.shared(3), 0, 2 * Self.page)]))
        let segment = PageLayers.Segment(address: 0, pages: 2, layer: 0, pagesID: 1, fileOffset: 0)
        #expect(throws: Problem.self) { try store.locate(segment) }
        for other in [
            PageLayers.Segment(address: 0, pages: 1, layer: 0, pagesID: 2, fileOffset: 0),
            PageLayers.Segment(address: 0, pages: 1, layer: 1, pagesID: 1, fileOffset: 0),
            PageLayers.Segment(address: 0, pages: 1, layer: 0, pagesID: 1, fileOffset: 2 * Self.page),
        ] {
            #expect(throws: Problem.self) { try store.locate(other) }
        }
        #expect(store.file(7) == nil)
    }

    @Test func `pages that cannot be are refused`() {
        let store = PageStore()
        let good = body(.process(1), [(0x1000, Self.page)], filling: [1])
        for bad in [
            Array(good.dropLast()), good + [0], [], Array(good.prefix(12)),
            body(.process(1), [(0x1001, Self.page)], filling: [1]), body(.process(1), [(0x1000, 100)], filling: [1]),
            body(.process(1), [(UInt64.max - 4095, Self.page)], filling: [1]),
            body(.process(1), [(0x1000, 0)], filling: [1]),
        ] {
            #expect(throws: Problem.self) { try store.take(bad) }
        }
        var many: [UInt8] = []
        PageSpace.process(1).append(to: &many)
        many.append(littleEndian: UInt32.max)
        #expect(throws: Problem.self) { try store.take(many) }
    }

    @Test func `layouts that cannot be are refused`() throws {
        let store = PageStore()
        let huge = UInt64.max / 4096 / 2 * 4096
        try store.takeLayout(layout(1, [(.process(1), 0, huge)]))
        #expect(throws: Problem.self) {
            try store.takeLayout(layout(1, [(.process(1), 0, huge), (.process(1), 0, huge), (.process(1), 0, huge)]))
        }
        #expect(throws: Problem.self) { try store.takeLayout([0, 0, 0, 0]) }
        #expect(throws: Problem.self) { try store.takeLayout(layout(1, [(.process(1), 5, 4096)])) }
    }

    /// A process that is there already: this one, whose memory takes the pages of process `pid` at the same addresses.
    private func withMemory(pages: Int, _ body: (UnsafeMutableRawBufferPointer, UInt64) throws -> Void) throws {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pages * 4096, alignment: 4096)
        defer { unsafe memory.deallocate() }
        _ = unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        try unsafe body(memory, UInt64(UInt(bitPattern: memory.baseAddress)))
    }

    @Test func `pages go where they are to be, and come back from there`() throws {
        let store = PageStore()
        let pid = Processes.current
        try unsafe withMemory(pages: 8) { memory, base in
            // The middle of it takes pages.
            let inside = base + 2 * Self.page..<base + 6 * Self.page
            store.fill(try EarlyMemory(of: pid, [pid: [inside]]))
            _ = try store.take(body(.process(pid), [(base, 8 * Self.page)], filling: [1]))
            _ = try store.take(body(.process(pid), [(base + 3 * Self.page, Self.page)], filling: [2]))
            // Another process with the same addresses.
            _ = try store.take(body(.process(pid + 1), [(base, 8 * Self.page)], filling: [9]))
            let there = (0..<8).map { unsafe memory[$0 * 4096] }
            #expect(there == [0, 0, 1, 2, 1, 1, 0, 0])
            #expect(store.pagesInPlace(of: pid) == [inside])
            #expect(store.pagesInPlace(of: pid + 1) == [])
            try store.takeLayout(layout(1, [(.process(pid), base, 8 * Self.page)]))
            let whole = PageLayers.Segment(address: base, pages: 8, layer: 0, pagesID: 1, fileOffset: 0)
            let found = try store.locate(whole)
            #expect(found.map(\.pages) == [2, 4, 2])
            #expect(found[1] == EarlyRoot.segment(at: inside.lowerBound, pages: 4))

            // Of what cannot stay, some is wanted and some is not.
            let kept = base + 2 * Self.page..<base + 3 * Self.page
            let wanted = base + 3 * Self.page..<base + 5 * Self.page
            try store.fetchBack(of: pid, besides: [kept], wanted: [wanted])
            #expect(store.pagesInPlace(of: pid) == [kept])
            try store.takeLayout(layout(2, [(.process(pid), base + 3 * Self.page, 2 * Self.page)]))
            let back = PageLayers.Segment(
                address: wanted.lowerBound, pages: 2, layer: 0, pagesID: 2, fileOffset: 0)
            #expect(try bytes(store, back) == [2, 1])
            #expect(throws: Problem.self) { try store.locate(whole) }
        }
    }
}
