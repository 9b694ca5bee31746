import CLinux
import Glibc
import Linux
import SystemPackage
import Testing

@testable import Memory

/// What one look tells is what each question by itself tells.
@Suite(
    "Looks at page tables", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: (try? PageMap(of: getpid()).canScan) == true, "needs PAGEMAP_SCAN, Linux 6.7"), .timeLimit(.minutes(2))
)
struct PageLookTests {
    private static let pages = 6000
    private static let guardInstall: UInt = 102

    private enum Touch: CaseIterable { case write, read, guarded, nothing }

    @Test(arguments: 1...8)
    func oneLookTellsAll(_ round: Int) throws {
        let size = UInt(Self.pages) * 4096
        let base = UInt(bitPattern: try call(Int(SYS_mmap), 0, size, 3, 0x22, UInt(signed: -1), 0))
        defer { _ = try? call(Int(SYS_munmap), base, size) }
        // No huge pages: the kernel gives a whole one where one page is touched.
        _ = try call(Int(SYS_madvise), base, size, 15)
        let memory = try Files.open("/proc/self/mem", .readWrite)
        let range = UInt64(base)..<UInt64(base + size)
        var page = 0
        var written: [Int] = []
        while page < Self.pages {
            let count = min(Int.random(in: 1...(round % 2 == 0 ? 3 : 700)), Self.pages - page)
            switch Touch.allCases.randomElement() ?? .nothing {
            case .write:
                written += page..<page + count
                for one in page..<page + count {
                    try Files.write(memory.raw, [1], at: range.lowerBound + UInt64(one) * 4096)
                }
            case .read:
                for one in page..<page + count {
                    _ = try Files.read(memory.raw, count: 1, at: range.lowerBound + UInt64(one) * 4096)
                }
            case .guarded:
                // A kernel that has none refuses.
                _ = try? call(
                    Int(SYS_madvise), base + UInt(page) * 4096, UInt(count) * 4096, Self.guardInstall)
            case .nothing: break
            }
            page += count
        }
        let map = try PageMap(of: getpid())
        let look = try PageLook(map, range, watched: false)
        #expect(look.populated == (try map.populated(range, .privateAnonymous)))
        let found = look.populated.flatMap { run in
            stride(from: run.range.lowerBound, to: run.range.upperBound, by: 4096).map {
                Int(($0 - range.lowerBound) / 4096)
            }
        }
        #expect(found == written)
        var guards: [Range<UInt64>] = []
        if map.canTellGuards {
            try map.scan(range, PageMap.Query(all: .guarded, reported: .guarded)) { guards.append($0.range) }
        }
        #expect(look.guards == guards)
        #expect(look.written == [])
    }

    /// What was written to since it was protected; and a mapping that is not watched is no answer.
    @Test func whatWasWrittenTo() throws {
        let size = UInt(Self.pages) * 4096
        let base = UInt(bitPattern: try call(Int(SYS_mmap), 0, size, 3, 0x22, UInt(signed: -1), 0))
        defer { _ = try? call(Int(SYS_munmap), base, size) }
        _ = try call(Int(SYS_madvise), base, size, 15)
        let memory = try Files.open("/proc/self/mem", .readWrite)
        let range = UInt64(base)..<UInt64(base + size)
        func touch(_ pages: some Sequence<Int>) throws {
            for page in pages { try Files.write(memory.raw, [1], at: range.lowerBound + UInt64(page) * 4096) }
        }
        try touch(stride(from: 0, to: Self.pages, by: 2))
        let map = try PageMap(of: getpid())
        #expect(throws: Errno.notPermitted) { _ = try PageLook(map, range, watched: true) }
        let raw = try call(Int(SYS_userfaultfd), UInt(WriteProtection.creationFlags))
        let protection = try WriteProtection(owning: OwnedDescriptor(owning: Int32(raw)))
        try protection.register(range)
        try map.written(range, protecting: true) { _ in }
        let again = (0..<200).map { _ in Int.random(in: 0..<Self.pages) }
        try touch(again)
        let look = try PageLook(map, range, watched: true)
        var written: [Range<UInt64>] = []
        try map.written(range, protecting: false) { written.append($0.range) }
        let pages = look.written.flatMap { stride(from: $0.lowerBound, to: $0.upperBound, by: 4096) }
        #expect(pages == written.flatMap { stride(from: $0.lowerBound, to: $0.upperBound, by: 4096) })
        #expect(pages == Set(again).sorted().map { range.lowerBound + UInt64($0) * 4096 })
        #expect(look.populated == (try map.populated(range, .privateAnonymous)))
    }
}
