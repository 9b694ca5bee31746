import Diagnostics
import Images
import SystemPackage
import Testing

@Suite("Chains of parent directories")
struct PageLayersTests {
    /// Directories, each with the next as its parent.
    private func chain(_ maps: [[PagemapEntry]]) throws -> [TemporaryDirectory] {
        var directories: [TemporaryDirectory] = []
        for map in maps.reversed() {
            let directory = try TemporaryDirectory()
            try directory.putPagemap(map)
            try directory.put([UInt8](repeating: 0, count: 16 * 4096), "pages-1.img")
            if let parent = directories.last { try directory.open().setParent(parent.path) }
            directories.append(directory)
        }
        return directories.reversed()
    }

    @Test("Each page is found in the nearest directory that has it")
    func resolving() throws {
        let directories = try chain([
            [entry(0x1000, wide: 1, flags: 4), entry(0x2000, wide: 6, flags: 1), entry(0x9000, wide: 1, flags: 6)],
            [entry(0x1000, wide: 2, flags: 4), entry(0x3000, wide: 2, flags: 1), entry(0x5000, wide: 4, flags: 4)],
            [entry(0x2000, wide: 3, flags: 4)],
        ])
        let layers = try PageLayers(of: directories[0].open())
        #expect(layers.directories.count == 3)
        typealias Segment = PageLayers.Segment
        func segment(_ address: UInt64, _ pages: UInt64, _ layer: Int, _ offset: UInt64, lazy: Bool = false) -> Segment
        {
            Segment(address: address, pages: pages, layer: layer, pagesID: 1, fileOffset: offset, isLazy: lazy)
        }
        #expect(
            try layers.segments(id: 7) == [
                segment(0x1000, 1, 0, 0), segment(0x2000, 1, 1, 4096), segment(0x3000, 2, 2, 4096),
                segment(0x5000, 3, 1, 8192), segment(0x9000, 1, 0, 4096, lazy: true),
            ])
    }

    @Test("A page that the parent does not have is an error that says where")
    func missingPage() throws {
        for maps in [
            [
                [entry(0x1000, wide: 4, flags: 1)],
                [entry(0x1000, wide: 2, flags: 4), entry(0x4000, wide: 1, flags: 4)],
            ],
            [[entry(0x3000, wide: 1, flags: 1)]],
        ] {
            let directories = try chain(maps)
            let problem = #expect(throws: Problem.self) {
                try PageLayers(of: directories[0].open()).segments(id: 7)
            }
            #expect(problem?.code == .imageParent)
            #expect(problem?.summary.contains("0x3000") == true)
        }
    }

    @Test("A loop, and a parent that is gone, are found")
    func brokenChains() throws {
        let directories = try chain([[], [], []])
        try directories[2].open().setParent(directories[1].path)
        let loop = #expect(throws: Problem.self) { try PageLayers(of: directories[0].open()) }
        #expect(loop?.code == .imageParent)
        try directories[2].open().setParent("../no/such/directory")
        let gone = #expect(throws: Problem.self) { try PageLayers(of: directories[0].open()) }
        #expect(gone?.code == .imageParent)
    }

    @Test("Fixtures need no parent: all their pages are their own", arguments: Fixture.names)
    func fixtures(name: String) throws {
        let directory = try ImageDirectory(opening: Fixture.path(name))
        let layers = try PageLayers(of: directory)
        for task in try CheckpointImages(reading: directory).tasks {
            guard let map = task.pagemap else { continue }
            let segments = try layers.segments(id: UInt64(task.pid))
            #expect(segments.reduce(0) { $0 + $1.pages * 4096 } == map.storedSize)
            #expect(try directory.pagesFile(map.pagesID).size == map.storedSize)
        }
    }
}
