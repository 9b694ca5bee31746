import Diagnostics
import Images
import SwiftProtobuf
import SystemPackage
import Testing

@Suite("Page maps")
struct PagemapTests {
    @Test("What is written is read: runs, places in the file, joined neighbours")
    func roundTrip() throws {
        let directory = try TemporaryDirectory()
        try directory.open().makePagesFile(3, size: 5 * 4096)
        let file = try FileDescriptor.open(directory.path.appending("pages-3.img"), .writeOnly)
        defer { try? file.close() }
        var writer = try PagemapWriter(id: 7, pagesID: 3, in: directory.open())
        var offset: Int64 = 0
        for (address, pages, flags) in Self.runs {
            if flags.contains(.isPresent) {
                let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: address >> 12), count: Int(pages) * 4096)
                try file.writeAll(toAbsoluteOffset: offset, bytes)
                offset += Int64(bytes.count)
            }
            try writer.add(address: address, pages: pages, flags: flags)
        }
        try writer.finish()

        let map = try #require(try directory.open().pagemap(id: 7))
        #expect(map.pagesID == 3)
        #expect(map.runs.map(\.address) == [0x1000, 0x5000, 0x6000, 0x9000])
        #expect(map.runs.map(\.pages) == [3, 1, 2, 1])
        #expect(map.runs.map(\.fileOffset) == [0, nil, 12288, nil])
        #expect(map.storedSize == 5 * 4096)
        let pages = try directory.open().pagesFile(map.pagesID)
        #expect(try pages.bytes(at: 8192, count: 1) == [2])
        #expect(try pages.bytes(at: 12288, count: 1) == [6])
    }

    private static let runs: [(UInt64, UInt64, Pagemap.Flags)] = [
        (0x1000, 1, .isPresent), (0x2000, 2, .isPresent), (0x5000, 1, .inParent), (0x6000, 2, [.isPresent, .isLazy]),
        (0x9000, 1, .isLazy), (0xa000, 0, .isPresent),
    ]

    @Test("Entries of old dumps: narrow counts, and `in_parent` in place of flags")
    func oldEntries() throws {
        let directory = try TemporaryDirectory()
        try directory.putPagemap([
            entry(0x1000, compat: 2), entry(0x4000, compat: 1, inParent: true),
            entry(0x5000, compat: 1, inParent: false),
        ])
        try directory.put([UInt8](repeating: 1, count: 3 * 4096), "pages-1.img")
        let map = try #require(try directory.open().pagemap(id: 7))
        #expect(map.runs.map(\.flags) == [.isPresent, .inParent, .isPresent])
        #expect(map.runs.map(\.pages) == [2, 1, 1])
        #expect(map.runs.map(\.fileOffset) == [0, nil, 8192])
    }

    @Test(
        "Runs that cannot be are refused",
        arguments: [
            [entry(0x1001, compat: 1)], [entry(0x1000, compat: 0)],
            [entry(0x2000, compat: 1), entry(0x1000, compat: 1)],
            [entry(0x1000, compat: 2), entry(0x2000, compat: 1)], [entry(0xffff_ffff_ffff_f000, compat: 1)],
            [entry(0x1000, wide: 1 << 60)], [entry(0x1000, wide: UInt64.max)], [entry(0x1000, compat: 1, flags: 5)],
        ])
    func invalidRuns(entries: [PagemapEntry]) throws {
        let directory = try TemporaryDirectory()
        try directory.putPagemap(entries)
        try directory.put([UInt8](repeating: 1, count: 4 * 4096), "pages-1.img")
        let problem = #expect(throws: Problem.self) { try directory.open().pagemap(id: 7) }
        #expect(problem?.code == .imageInvalid)
    }

    @Test("An entry with a flag or a field that is not known is refused, whatever it may mean")
    func unknownEntries() throws {
        let directory = try TemporaryDirectory()
        try directory.put([UInt8](repeating: 1, count: 4 * 4096), "pages-1.img")
        // A field 9 with the value 1.
        var newer = entry(0x1000, wide: 1, flags: 4)
        try newer.merge(serializedBytes: [0x48, 0x01], partial: true)
        for unknown in [newer, entry(0x1000, wide: 1, flags: 12)] {
            try directory.putPagemap([unknown])
            let problem = #expect(throws: Problem.self) { try directory.open().pagemap(id: 7) }
            #expect(problem?.code == .imageVersion)
        }
    }

    @Test("A pages file that is too short or missing is named")
    func shortPages() throws {
        let directory = try TemporaryDirectory()
        try directory.putPagemap([entry(0x1000, wide: 1 << 40)])
        let missing = #expect(throws: Problem.self) { try directory.open().pagemap(id: 7) }
        #expect(missing?.code == .imageMissing)
        try directory.put([UInt8](repeating: 1, count: 4096), "pages-1.img")
        let short = #expect(throws: Problem.self) { try directory.open().pagemap(id: 7) }
        #expect(short?.code == .imageTruncated)
        #expect(short?.object.path == directory.path.appending("pages-1.img").string)
    }
}

/// An entry as some version writes it.
func entry(
    _ address: UInt64, compat: UInt32 = 0, wide: UInt64? = nil, flags: UInt32? = nil, inParent: Bool? = nil
) -> PagemapEntry {
    var entry = PagemapEntry()
    entry.vaddr = address
    entry.compatNrPages = compat
    if let wide { entry.nrPages = wide }
    if let flags { entry.flags = flags }
    if let inParent { entry.inParent = inParent }
    return entry
}

extension TemporaryDirectory {
    /// A page map of these entries for process 7, with pages in `pages-1.img`.
    func putPagemap(_ entries: [PagemapEntry]) throws {
        var writer = try ImageWriter(creating: ImageKind.pagemap.layout, id: 7, in: open())
        var head = PagemapHead()
        head.pagesID = 1
        try writer.append(head)
        for entry in entries { try writer.append(entry) }
        try writer.finish()
    }
}
