import Linux
import Testing

@testable import Memory

/// Guards are looked for where a kernel can have some.
@Suite struct GuardPagesTests {
    /// The mappings of a process lie terabytes apart: a kernel that has to be asked page by page is not asked.
    @Test(.timeLimit(.minutes(1))) func withoutPagemapScan() throws {
        let pid = Processes.current
        let areas = try ProcessDirectory(pid).maps().compactMap { area in
            (try? area.kind(of: pid, process: "test")).map { (area: area, kind: $0) }
        }
        #expect(areas.count > 2)
        #expect(try GuardPages.find(pid, areas, useScan: false) == [])
    }
}
