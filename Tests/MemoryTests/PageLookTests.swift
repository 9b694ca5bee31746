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
        let memory = try OwnMemory(pages: Self.pages)
        defer { withExtendedLifetime(memory) {} }
        let range = memory.range
        var page = 0
        var written: [Int] = []
        while page < Self.pages {
            let count = min(Int.random(in: 1...(round % 2 == 0 ? 3 : 700)), Self.pages - page)
            switch Touch.allCases.randomElement() ?? .nothing {
            case .write:
                written += page..<page + count
                try memory.touch(page..<page + count)
            case .read: try memory.read(page..<page + count)
            case .guarded:
                // A kernel that has none refuses.
                _ = try? call(
                    Int(SYS_madvise), UInt(memory.address(page)), UInt(count) * 4096, Self.guardInstall)
            case .nothing: break
            }
            page += count
        }
        let map = try PageMap(of: getpid())
        let look = try PageLook(map, range, watched: false)
        #expect(look.populated == (try map.populated(range, .privateAnonymous)))
        #expect(memory.pages(in: look.populated.map(\.range)) == written)
        var guards: [Range<UInt64>] = []
        if map.canTellGuards {
            try map.scan(range, PageMap.Query(all: .guarded, reported: .guarded)) { guards.append($0.range) }
        }
        #expect(look.guards == guards)
        #expect(look.written == [])
    }

    /// What was written to since it was protected; and a mapping that is not watched is no answer.
    @Test func whatWasWrittenTo() throws {
        let memory = try OwnMemory(pages: Self.pages)
        defer { withExtendedLifetime(memory) {} }
        let range = memory.range
        try memory.touch(stride(from: 0, to: Self.pages, by: 2))
        let map = try PageMap(of: getpid())
        #expect(throws: Errno.notPermitted) { _ = try PageLook(map, range, watched: true) }
        let raw = try call(Int(SYS_userfaultfd), UInt(WriteProtection.creationFlags))
        let protection = try WriteProtection(owning: OwnedDescriptor(owning: Int32(raw)))
        try protection.register(range)
        try map.written(range, protecting: true) { _ in }
        let again = (0..<200).map { _ in Int.random(in: 0..<Self.pages) }
        try memory.touch(again)
        let look = try PageLook(map, range, watched: true)
        var written: [Range<UInt64>] = []
        try map.written(range, protecting: false) { written.append($0.range) }
        let pages = memory.pages(in: look.written)
        #expect(pages == memory.pages(in: written))
        #expect(pages == Set(again).sorted())
        #expect(look.populated == (try map.populated(range, .privateAnonymous)))
    }
}
