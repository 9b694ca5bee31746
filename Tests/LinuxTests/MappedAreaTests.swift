import Linux
import SystemPackage
import Testing

@Suite struct MappedAreaTests {
    private func area(_ start: UInt64, in areas: [MappedArea]) throws -> MappedArea {
        try #require(areas.first { $0.range.lowerBound == start })
    }

    @Test func names() throws {
        let areas = try Recorded.subject.maps()
        #expect(areas.count == 23)
        #expect(areas.allSatisfy { $0.details == nil })
        #expect(zip(areas, areas.dropFirst()).allSatisfy { $0.range.upperBound <= $1.range.lowerBound })
        let heap = try area(0x0f74_6000, in: areas)
        #expect(heap.name == .heap && heap.protection == [.read, .write] && !heap.isShared)
        let odd = try area(0x7f19_9a35_e000, in: areas)
        #expect(odd.name == .file(Array("/tmp/subject/odd \nname".utf8)) && odd.isShared)
        #expect(odd.inode == 16_229_116 && odd.device == DeviceNumber(major: 254, minor: 0) && odd.size == 8192)
        #expect(odd.path?.endsInDeleted == false)
        let gone = try area(0x7f19_9a4c_a000, in: areas)
        #expect(gone.offset == 4096 && gone.path?.endsInDeleted == true)
        #expect(gone.path?.bytes == Array("/tmp/subject/gone".utf8))
        #expect(try area(0x7f19_9a36_3000, in: areas).name == .anonymous(Array("named area".utf8)))
        #expect(try area(0x7f19_9400_0000, in: areas).name == .none)
        #expect(try area(0x7f19_9aac_b000, in: areas).name == .vvar)
        #expect(try area(0x7f19_9aac_f000, in: areas).name == .vvarClock)
        #expect(try area(0x7f19_9aad_1000, in: areas).name == .vdso)
        #expect(try area(0x7fff_2a43_4000, in: areas).name == .stack)
        let last = try #require(areas.last)
        #expect(last.name == .vsyscall && last.protection == .execute && last.range.upperBound == 0xffff_ffff_ff60_1000)
        #expect(areas.filter(\.name.isKernelProvided).count == 4)
    }

    @Test func otherNames() throws {
        let text = """
            7f0000000000-7f0000001000 rw-s 00000000 00:01 3 [anon_shmem:a b]
            7f0000001000-7f0000002000 rw-s 00000000 00:0e 4 anon_inode:[io_uring]
            7f0000002000-7f0000003000 r-xp 00000000 00:00 0 [uprobes]
            7f0000003000-7f0000004000 rw-p 00000000 00:00 0 [anon:]

            """
        let areas = try MappedArea.parse(maps: Array(text.utf8))
        #expect(
            areas.map(\.name) == [
                .sharedAnonymous(Array("a b".utf8)), .other(Array("anon_inode:[io_uring]".utf8)),
                .other(Array("[uprobes]".utf8)), .anonymous([]),
            ])
        #expect(areas[1].device == DeviceNumber(major: 0, minor: 14))
    }

    @Test func details() throws {
        let areas = try Recorded.subject.smaps()
        #expect(
            areas.map {
                var area = $0; area.details = nil; return area
            } == (try Recorded.subject.maps()))
        let named = try #require(try area(0x7f19_9a36_3000, in: areas).details)
        #expect(named.flags == [.readable, .writable, .mayRead, .mayWrite, .mayExecute, .accounted, .dontDump])
        #expect(named.resident == 4096 && named.anonymous == 4096 && named.swapped == 0 && named.pageSize == 4096)
        let stack = try #require(try area(0x7fff_2a43_4000, in: areas).details)
        #expect(stack.flags.contains(.growsDown))
        let vvar = try #require(try area(0x7f19_9aac_b000, in: areas).details)
        #expect(vvar.flags.isSuperset(of: [.pageFrames, .io, .dontExpand, .dontDump]))
        #expect(areas.allSatisfy { $0.details?.unknownFlags.isEmpty == true })
    }

    @Test func unknownFlagsAreKept() throws {
        let text = "1000-2000 r--p 00000000 00:00 0 \nSize: 4 kB\nProtectionKey: 3\nVmFlags: rd zz gu \n"
        let details = try #require(try MappedArea.parse(smaps: Array(text.utf8)).first?.details)
        #expect(details.unknownFlags == ["zz"] && details.flags == [.readable, .maybeGuard])
        #expect(details.protectionKey == 3)
    }

    @Test func codesAreDistinct() {
        #expect(Set(VmFlags.codes.map(\.code)).count == VmFlags.codes.count)
        #expect(Set(VmFlags.codes.map(\.flag)).count == VmFlags.codes.count)
    }

    /// Bytes that are no UTF-8 stay as they are.
    @Test func namesAreBytes() throws {
        let line = Array("1000-2000 r--p 00000000 fe:00 12 /x".utf8) + [0xff, 0xfe, 0x0a]
        #expect(try MappedArea.parse(maps: line).first?.name == .file([0x2f, 0x78, 0xff, 0xfe]))
    }
}
