import Diagnostics
import Images
import Linux
import Testing

@testable import Memory

/// Mappings as `/proc/PID/smaps` shows them, and what the images say of them: compared with images of CRIU.
struct MemoryImageTests {
    private func area(_ head: String, _ flags: String) throws -> MappedArea {
        let text = Array("\(head)\nSize: 4 kB\nKernelPageSize: 4 kB\nVmFlags: \(flags)\n".utf8)
        return try #require(try MappedArea.parse(smaps: text).first)
    }

    private func entry(_ head: String, _ flags: String, file: UInt32 = 0) throws -> VmaEntry {
        let area = try area(head, flags)
        return MemoryImage.entry(area, try area.kind(of: 1, process: "x"), file: file)
    }

    @Test func aLibrary() throws {
        let entry = try entry(
            "7f6703036000-7f670318c000 r-xp 00026000 fe:00 123 /usr/lib/libc.so.6", "rd ex mr mw me", file: 2)
        #expect((entry.start, entry.end) == (0x7f67_0303_6000, 0x7f67_0318_c000))
        #expect((entry.pgoff, entry.shmid, entry.fd) == (155648, 2, -1))
        #expect((entry.prot, entry.flags, entry.fdflags) == (5, 2, 0))
        #expect(entry.status == 1 << 0 | 1 << 6)
        #expect(!entry.hasMadv)
    }

    @Test func theStack() throws {
        let entry = try entry("7ffc333f9000-7ffc3341a000 rw-p 00000000 00:00 0 [stack]", "rd wr mr mw me gd ac")
        #expect(entry.flags == 0x2 | 0x20 | 0x100)
        #expect(entry.status == 1 << 0 | 1 << 9)
        #expect(!entry.hasFdflags)
    }

    @Test func theHeap() throws {
        #expect(
            try entry("560dc6041000-560dc6062000 rw-p 00000000 00:00 0 [heap]", "rd wr").status == 1 | 1 << 5 | 1 << 9)
    }

    @Test func adviceAndLocks() throws {
        func madv(_ flags: String) throws -> UInt64 {
            try entry("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ", flags).madv
        }
        #expect(try madv("rd wr mg") == 0x1000)
        #expect(try madv("rd wr hg") == 0x4000)
        #expect(try madv("rd wr dd") == 0x10000)
        #expect(try madv("rd wr dc") == 0x400)
        #expect(try entry("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ", "rd wr lo").flags == 0x2022)
    }

    @Test func sharedAnonymousMemoryIsAMemfd() throws {
        let entry = try entry(
            "7fe9483ab000-7fe9483af000 rw-s 00000000 00:01 29439 /dev/zero (deleted)", "rd wr sh mr mw me ms", file: 3)
        #expect(entry.flags == 1)
        #expect(entry.status == 1 << 0 | 1 << 7 | 1 << 14)
        #expect((entry.shmid, entry.fdflags) == (3, 2))
    }

    @Test func aSharedFileTellsHowItWasOpened() throws {
        let head = "7f0000000000-7f0000001000 r--s 00006000 fe:00 7 /data"
        #expect(try entry(head, "rd sh mr mw me ms", file: 4).fdflags == 2)
        #expect(try entry(head, "rd sh mr me ms", file: 4).fdflags == 0)
    }

    @Test func theHalvesOfVvarAreJoined() throws {
        let entries = [
            try entry("7f6703231000-7f6703235000 r--p 00000000 00:00 0 [vvar]", "rd mr pf io de dd"),
            try entry("7f6703235000-7f6703237000 r--p 00000000 00:00 0 [vvar_vclock]", "rd mr pf io de dd"),
            try entry("7f6703237000-7f6703239000 r-xp 00000000 00:00 0 [vdso]", "rd ex mr mw me de"),
        ]
        let joined = MemoryImage.joined(entries)
        #expect(joined.count == 2)
        #expect((joined[0].start, joined[0].end) == (0x7f67_0323_1000, 0x7f67_0323_7000))
        #expect((joined[0].madv, joined[0].status) == (0x10000, 1 | 1 << 9 | 1 << 12))
        #expect(joined[1].status == 1 | 1 << 3 | 1 << 9)
    }

    @Test func memoryOfHugePages() throws {
        let head = "7f0000000000-7f0000200000 rw-p 00000000 00:0f 5 /anon_hugepage (deleted)"
        var area = try area(head, "rd wr mr mw me de ht")
        area.details?.pageSize = 2 << 20
        #expect(try area.kind(of: 42, process: "x") == .privateAnonymous)
        // MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB
        #expect(MemoryImage.entry(area, .privateAnonymous, file: 0).flags == 0x5404_0022)
        area.isShared = true
        #expect(try area.kind(of: 42, process: "x") == .sharedMemory)
    }

    @Test func aSegmentKeepsItsIDAndItsPart() throws {
        let head = "7f0000000000-7f0000001000 r--s 00002000 00:01 9 /SYSV41505553 (deleted)"
        let entry = try entry(head, "rd sh mr me ms")
        #expect((entry.shmid, entry.pgoff, entry.flags, entry.fdflags) == (9, 0x2000, 0x21, 0))
        #expect(entry.status == 1 | 1 << 8 | 1 << 10)
    }

    @Test func aRingOfAsynchronousIO() throws {
        let head = "7f0000000000-7f0000005000 rw-s 00000000 00:0f 5 /[aio] (deleted)"
        #expect(try area(head, "rd wr sh").kind(of: 42, process: "x") == .asyncIO)
        let vma = try entry(head, "rd wr sh mr mw ms de")
        #expect((vma.status, vma.flags, vma.shmid) == (1 | 1 << 13, 0x21, 0))
        let ring = AsyncRing.entry(vma)
        #expect((ring.id, ring.nrReq, ring.ringLen) == (0x7f00_0000_0000, 318, 0x5000))
    }

    /// Its id is put in by who knows the descriptor.
    @Test func theMemoryOfAnIoUring() throws {
        let head = "7f0000000000-7f0000001000 rw-s 10000000 00:0e 5 anon_inode:[io_uring]"
        #expect(try area(head, "rd wr sh").kind(of: 42, process: "x") == .requestRing)
        let vma = MemoryImage.entry(try area(head, "rd wr sh mr mw ms dc"), .requestRing, file: 7)
        #expect((vma.status, vma.flags, vma.shmid, vma.pgoff) == (1 | 1 << 7, 1, 7, 0x1000_0000))
    }

    @Test(arguments: [
        ("7f0000000000-7f0000200000 rw-s 00000000 00:01 9 /SYSV41505553 (deleted)", "rd wr sh ht", "huge pages"),
        ("7f0000000000-7f0000001000 rw-s 00000000 00:0e 5 anon_inode:[perf_event]", "rd wr sh", "counter"),
        ("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ", "rd wr um", "userfaultfd"),
        ("7f0000000000-7f0000001000 rw-s 00000000 00:05 9 /dev/mem", "rd wr sh pf io", "device"),
        ("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 [strange]", "rd wr", "[strange]"),
    ])
    func whatCannotBeCarriedIsNamed(head: String, flags: String, word: String) throws {
        let area = try area(head, flags)
        let problem = #expect(throws: Problem.self) { try area.kind(of: 42, process: "x") }
        #expect(problem?.summary.contains(word) == true)
        #expect(problem?.object.pid == 42 && problem?.object.address == 0x7f00_0000_0000)
        #expect(problem?.remedy.isEmpty == false)
    }
}
