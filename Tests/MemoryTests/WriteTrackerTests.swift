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
        let size = UInt(32 << 20)
        let base = UInt(bitPattern: try call(Int(SYS_mmap), 0, size, 3, 0x22, UInt(signed: -1), 0))
        defer { _ = try? call(Int(SYS_munmap), base, size) }
        _ = try call(Int(SYS_madvise), base, size, 15)
        let address = UInt64(base)
        let memory = try Files.open("/proc/self/mem", .readWrite)
        func touch(_ pages: Range<UInt64>) throws {
            for page in pages { try Files.write(memory.raw, [1], at: address + page * 4096) }
        }
        try touch(0..<100)
        let raw = try call(Int(SYS_userfaultfd), UInt(WriteProtection.creationFlags))
        let tracker = WriteTracker(
            pid: getpid(), process: "test", try WriteProtection(owning: OwnedDescriptor(owning: Int32(raw))))
        #expect(tracker.collect().contains { $0.address == address && $0.size == 100 * 4096 })
        try touch(50..<60)
        let clean = tracker.finish()
        let look = try #require(tracker.looks.values.first { $0.range.contains(address) })
        #expect(look.populated.map(\.range).contains { $0.contains(address + 99 * 4096) })
        #expect(look.written.contains(address + 50 * 4096..<address + 60 * 4096))
        #expect(clean.contains { $0.contains(address) } && !clean.contains { $0.contains(address + 55 * 4096) })
        tracker.resume(clean: clean)
        #expect(tracker.looks.isEmpty)

        _ = tracker.finish()
        try touch(200..<300)
        // From here on devices may write into its memory: it is not watched any more.
        let path = FilePath("/var/tmp/apus-direct-\(UInt64.random(in: .min ... .max))")
        defer { try? Files.remove(path) }
        let direct = try Files.open(path, [.readWrite, .create, .direct])
        #expect(tracker.finish() == [] && tracker.isLost && tracker.looks.isEmpty)
        withExtendedLifetime(direct) {}
    }
}
