import CLinux
import Glibc
import Linux
import SystemPackage
import Testing

@testable import Memory

@Suite(
    "Watching what is written to", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: (try? PageMap(of: getpid()).canScan) == true, "needs PAGEMAP_SCAN, Linux 6.7"), .timeLimit(.minutes(2))
)
struct WriteTrackerTests {
    /// What was seen at one standstill is of no use at the next: a page that came between would be missed.
    @Test func aLookIsGoodForOneStandstill() throws {
        let memory = try OwnMemory(pages: 8192)
        defer { withExtendedLifetime(memory) {} }
        let address = memory.range.lowerBound
        try memory.touch(0..<100)
        let raw = try call(Int(SYS_userfaultfd), UInt(WriteProtection.creationFlags))
        let tracker = WriteTracker(
            pid: getpid(), process: "test", try WriteProtection(owning: OwnedDescriptor(owning: Int32(raw))))
        #expect(tracker.collect().contains { $0.address == address && $0.size == 100 * 4096 })
        try memory.touch(50..<60)
        let clean = tracker.finish()
        let look = try #require(tracker.looks.values.first { $0.range.contains(address) })
        #expect(look.populated.map(\.range).contains { $0.contains(address + 99 * 4096) })
        #expect(look.written.contains(address + 50 * 4096..<address + 60 * 4096))
        #expect(clean.contains { $0.contains(address) } && !clean.contains { $0.contains(address + 55 * 4096) })
        tracker.resume(clean: clean)
        #expect(tracker.looks.isEmpty)

        _ = tracker.finish()
        try memory.touch(200..<300)
        // From here on devices may write into its memory: it is not watched any more.
        let path = FilePath("/var/tmp/apus-direct-\(UInt64.random(in: .min ... .max))")
        defer { try? Files.remove(path) }
        let direct = try Files.open(path, [.readWrite, .create, .direct])
        #expect(tracker.finish() == [] && tracker.isLost && tracker.looks.isEmpty)
        withExtendedLifetime(direct) {}
    }
}
