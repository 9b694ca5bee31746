import CLinux
import Glibc
import Linux
import SystemPackage
import Testing

/// Memory of this process with pages in known states.
private struct Subject: ~Copyable {
    let start: UInt64
    let count: UInt64
    static let size = HostFacts.pageSize

    init(pages: UInt64, flags: Int32, descriptor: Int32 = -1) throws {
        let address = try call(
            Int(SYS_mmap), 0, UInt(pages * Self.size), UInt(PROT_READ | PROT_WRITE), UInt(flags),
            UInt(signed: descriptor), 0)
        // Huge pages would blur the states.
        try call(Int(SYS_madvise), UInt(address), UInt(pages * Self.size), 15)
        start = UInt64(address)
        count = pages
    }

    deinit { _ = try? call(Int(SYS_munmap), UInt(start), UInt(count * Self.size)) }

    var range: Range<UInt64> { start..<(start + count * Self.size) }

    func write(_ page: UInt64) throws {
        try RemoteMemory.write(Processes.current, at: start + page * Self.size, [1])
    }

    func read(_ page: UInt64) throws {
        _ = try RemoteMemory.read(Processes.current, at: start + page * Self.size, count: 1)
    }

    /// Page numbers of the runs.
    func pages(_ runs: [PageRun]) -> [ClosedRange<UInt64>] {
        runs.map {
            ($0.range.lowerBound - start) / Self.size...($0.range.upperBound - start) / Self.size - 1
        }
    }
}

@Suite(.serialized) struct PageMapTests {
    static let ways: [Bool] = (try? PageMap(of: Processes.current).canScan) == true ? [true, false] : [false]

    @Test(arguments: ways) func privateAnonymous(_ useScan: Bool) throws {
        let subject = try Subject(pages: 64, flags: MAP_PRIVATE | MAP_ANONYMOUS)
        let map = try PageMap(of: Processes.current, useScan: useScan)
        #expect(map.canScan == useScan)
        #expect(try map.populated(subject.range, .privateMemory).isEmpty)
        for page in [0, 1, 2, 10, 63] as [UInt64] { try subject.write(page) }
        // A page that was only read holds the page of zeros.
        try subject.read(20)
        let pages = subject.pages(try map.populated(subject.range, .privateMemory))
        let zeros = PageMap.Query(all: .zero)
        var found: [PageRun] = []
        if map.canTellZeros {
            #expect(pages == [0...2, 10...10, 63...63])
            try map.scan(subject.range, zeros) { (run) throws(Errno) in found.append(run) }
            #expect(subject.pages(found) == [20...20])
        } else {
            #expect(pages == [0...2, 10...10, 20...20, 63...63])
            #expect(throws: Errno.notSupported) { try map.scan(subject.range, zeros) { (_) throws(Errno) in } }
        }
        #expect(map.canTellZeros || !isRoot)
        // A part of the range.
        let part = (subject.start + Subject.size)..<(subject.start + 11 * Subject.size)
        #expect(subject.pages(try map.populated(part, .privateMemory)) == [1...2, 10...10])
    }

    @Test(arguments: ways) func privateFile(_ useScan: Bool) throws {
        let directory = try TemporaryDirectory()
        let file = try Files.open(directory.path.appending("file"), [.readWrite, .create])
        try Files.write(file.raw, [UInt8](repeating: 3, count: Int(16 * Subject.size)))
        let subject = try Subject(pages: 16, flags: MAP_PRIVATE, descriptor: file.raw)
        for page in [0, 3, 4] as [UInt64] { try subject.read(page) }
        for page in [4, 5, 9] as [UInt64] { try subject.write(page) }
        let map = try PageMap(of: Processes.current, useScan: useScan)
        #expect(subject.pages(try map.populated(subject.range, .privateMemory)) == [4...5, 9...9])
    }

    @Test(arguments: ways) func sharedAnonymous(_ useScan: Bool) throws {
        let subject = try Subject(pages: 16, flags: MAP_SHARED | MAP_ANONYMOUS)
        for page in [2, 3, 8] as [UInt64] { try subject.write(page) }
        let map = try PageMap(of: Processes.current, useScan: useScan)
        #expect(subject.pages(try map.populated(subject.range, .sharedAnonymous)) == [2...3, 8...8])
        #expect(try map.populated(subject.range, .privateMemory).isEmpty)
    }

    @Test(arguments: ways) func privateOfVolatileFile(_ useScan: Bool) throws {
        let file = try Files.memory(named: "pages")
        try Files.truncate(file.raw, to: 8 * Subject.size)
        try Files.write(file.raw, [1], at: 2 * Subject.size)
        let subject = try Subject(pages: 8, flags: MAP_PRIVATE, descriptor: file.raw)
        try subject.read(2)
        try subject.write(5)
        let map = try PageMap(of: Processes.current, useScan: useScan)
        // What the kernel maps around a page that is read is its own affair; these two are certain.
        let pages = subject.pages(try map.populated(subject.range, .privateOfVolatileFile))
        #expect(pages.contains { $0.contains(2) } && pages.contains { $0.contains(5) })
        #expect(!pages.contains { $0.contains(0) })
    }

    /// What was only read is the page of zeros, which is not stored.
    @Test(arguments: ways) func privateMappingOfNothing(_ useScan: Bool) throws {
        let subject = try Subject(pages: 8, flags: MAP_PRIVATE | MAP_ANONYMOUS)
        for page in [1, 2, 6] as [UInt64] { try subject.write(page) }
        for page in [0, 4] as [UInt64] { try subject.read(page) }
        let map = try PageMap(of: Processes.current, useScan: useScan)
        #expect(subject.pages(try map.populated(subject.range, .privateAnonymous)) == [1...2, 6...6])
    }

    /// More runs than one request reports, and more pages than one read takes.
    @Test(arguments: ways) func manyRuns(_ useScan: Bool) throws {
        let subject = try Subject(pages: 70_000, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
        let written = (0..<3000).map { UInt64($0) * 23 }
        for page in written { try subject.write(page) }
        let map = try PageMap(of: Processes.current, useScan: useScan)
        #expect(subject.pages(try map.populated(subject.range, .privateMemory)) == written.map { $0...$0 })
    }

    @Test(arguments: ways) func guards(_ useScan: Bool) throws {
        let subject = try Subject(pages: 8, flags: MAP_PRIVATE | MAP_ANONYMOUS)
        for page in [1, 6] as [UInt64] { try subject.write(page) }
        let installGuard: UInt = 102
        let isKnown: ()? = try? {
            _ = try call(
                Int(SYS_madvise), UInt(subject.start + 3 * Subject.size), UInt(Subject.size), installGuard)
        }()
        let map = try PageMap(of: Processes.current, useScan: useScan)
        guard isKnown != nil, map.canTellGuards else { return }
        #expect(subject.pages(try map.populated(subject.range, .privateMemory)) == [1...1, 6...6])
    }

    @Test func anotherProcess() throws {
        let child = try Child(["/bin/sleep", "100"])
        try child.fallAsleep()
        let stack = try #require(try Procfs.live.process(child.pid).maps().first { $0.name == .stack })
        let both = try [true, false].map { useScan in
            try PageMap(of: child.pid, useScan: useScan).populated(stack.range, .privateMemory).map(\.range)
        }
        #expect(both[0] == both[1] && !both[0].isEmpty)
        #expect(both[0].last?.upperBound == stack.range.upperBound)
    }

    @Test func whatCannotBeTold() throws {
        let map = try PageMap(of: Processes.current, useScan: false)
        #expect(throws: Errno.notSupported) {
            try map.scan(0..<4096, .init(all: .written)) { (_) throws(Errno) in }
        }
    }
}
