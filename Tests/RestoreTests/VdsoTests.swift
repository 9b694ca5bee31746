import Diagnostics
import Images
import Linux
import Objects
import Testing
import Tracing

@testable import Restore

/// What is made of the vdso of another kernel.
@Suite struct VdsoTests {
    /// The vdso of Linux 6.18, out of the images of a fixture.
    static func real() throws -> [UInt8] {
        let directory = try FixturePlans.directory("registers")
        let images = try CheckpointImages(reading: directory, architecture: .x8664)
        return try FixturePlans.host(for: images, PageLayers(of: directory)).vdso
    }

    /// The same with a name replaced by another of its length, wherever it stands.
    static func renaming(_ name: String, to other: String, in image: [UInt8]) -> [UInt8] {
        var image = image
        let (from, to) = (Array(name.utf8), Array(other.utf8))
        var index = 0
        while index + from.count <= image.count {
            if Array(image[index..<index + from.count]) == from {
                image.replaceSubrange(index..<index + from.count, with: to)
            }
            index += 1
        }
        return image
    }

    static let purposes: Set = ["clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu", "getrandom"]

    @Test func itsFunctionsAreFoundByName() throws {
        let functions = try #require(VdsoFunctions(image: Self.real()))
        #expect(Set(functions.all.map(\.purpose)) == Self.purposes)
        #expect(functions.all.count == 12)
        let time = functions.all.filter { $0.purpose == "time" }
        #expect(time.map(\.name) == ["__vdso_time", "time"])
        #expect(Set(time.map(\.offset)).count == 1)
        #expect(time.allSatisfy { $0.size > 5 && $0.offset > 64 })
    }

    /// Newer kernels leave the old table out.
    @Test func oneTableForLookUpsIsEnough() throws {
        var image = try Self.real()
        let before = try #require(VdsoFunctions(image: image)).all
        // The entry DT_HASH of the dynamic section becomes one that nobody knows.
        let dynamic = Int(image.littleEndian(UInt64.self, at: 64 + 56 + 8))
        let entry = try #require(
            stride(from: dynamic, to: dynamic + 400, by: 16).first { image.littleEndian(UInt64.self, at: $0) == 4 })
        image[entry + 4] = 0x77
        #expect(VdsoFunctions(image: image)?.all == before)
    }

    @Test func whatIsNoVdsoHasNoFunctions() throws {
        #expect(VdsoFunctions(image: []) == nil)
        #expect(VdsoFunctions(image: [UInt8](repeating: 0, count: 8192)) == nil)
        #expect(VdsoFunctions(image: [0x7f, 0x45, 0x4c, 0x46] + [UInt8](repeating: 0xff, count: 8188)) == nil)
    }

    /// Images are input: whatever is in them, nothing is read that is not there.
    @Test func aDamagedVdsoIsNoCrash() throws {
        let image = try Self.real()
        let header = Int(try #require(VdsoFunctions(image: image)).all[0].offset)
        for index in 0..<header {
            for value in [0x00, 0x7f, 0xff] as [UInt8] {
                var damaged = image
                damaged[index] = value
                for function in VdsoFunctions(image: damaged)?.all ?? [] {
                    #expect(function.offset + function.size <= damaged.count)
                }
                _ = try? VdsoProxy(old: damaged, new: image, at: 0x7000_0000)
            }
        }
        for length in stride(from: 0, to: image.count, by: 13) {
            _ = try? VdsoProxy(old: Array(image.prefix(length)), new: image, at: 0x7000_0000)
        }
    }

    /// The code that a call of an old function comes to.
    private func code(_ purpose: String, _ proxy: VdsoProxy, of old: [UInt8]) throws -> ArraySlice<UInt8> {
        var image = old
        for patch in proxy.patches {
            image.replaceSubrange(patch.offset..<patch.offset + patch.bytes.count, with: patch.bytes)
        }
        let offset = try #require(VdsoFunctions(image: old)?.offsets[purpose])
        #expect(image[offset] == 0xe9)
        let target = offset + 5 + Int(image.littleEndian(Int32.self, at: offset + 1))
        #expect(target >= Husk.vdsoLength(old) && target % 16 == 0)
        return image[target..<target + 16]
    }

    @Test func oldFunctionsLeadToNewOnes() throws {
        let image = try Self.real()
        let place: UInt64 = 0x7fff_1234_5000
        let proxy = try VdsoProxy(old: image, new: image, at: place)
        #expect(proxy.patches.count == Self.purposes.count + 1)
        for (purpose, offset) in try #require(VdsoFunctions(image: image)).offsets where purpose != "getrandom" {
            var jump: [UInt8] = [0xff, 0x25, 0, 0, 0, 0]
            jump.append(littleEndian: place + UInt64(offset))
            #expect(Array(try code(purpose, proxy, of: image).prefix(14)) == jump)
        }
        // The state of another kernel's getrandom cannot be gone on with: a system call, 318.
        #expect(Array(try code("getrandom", proxy, of: image)[...].dropFirst(6).prefix(5)) == [0xb8, 0x3e, 1, 0, 0])
    }

    @Test func whatTheNewOneLacksBecomesASystemCall() throws {
        let old = try Self.real()
        let new = Self.renaming("getcpu", to: "getxyz", in: old)
        let proxy = try VdsoProxy(old: old, new: new, at: 0x7000_0000)
        #expect(Array(try code("getcpu", proxy, of: old).prefix(8)) == [0xb8, 0x35, 1, 0, 0, 0x0f, 0x05, 0xc3])
    }

    @Test func aFunctionThatNobodyKnowsIsRefused() throws {
        let new = try Self.real()
        let old = Self.renaming("getcpu", to: "getxyz", in: new)
        #expect(throws: VdsoProxy.Refusal.unknown("__vdso_getxyz")) {
            try VdsoProxy(old: old, new: new, at: 0x7000_0000)
        }
    }

    @Test func withoutRoomForTheCodeItIsRefused() throws {
        var old = try Self.real()
        for index in Husk.vdsoLength(old)..<old.count - 32 { old[index] = 0x90 }
        #expect(throws: VdsoProxy.Refusal.noRoom) { try VdsoProxy(old: old, new: Self.real(), at: 0x7000_0000) }
    }

    // MARK: Plans

    private func calls(_ plan: RestorePlan, _ name: String) -> [Batch.Call] {
        plan.tasks[0].rebuild.batch.calls.filter { SystemCallName.of($0.number) == name }
    }

    @Test func anotherKernelsVdsoStaysAtItsPlace() throws {
        let directory = try FixturePlans.directory("registers")
        let images = try CheckpointImages(reading: directory, architecture: .x8664)
        let vmas = try #require(images.tasks[0].memory?.vmas)
        let old = try #require(vmas.first { $0.kind.contains(.vdso) })
        let plan = try FixturePlans.plan("registers") { _, host in
            // A kernel with other code, another vvar, and one page more.
            host.vdso[9] ^= 0xff
            host.vdso += [UInt8](repeating: 0, count: 4096)
            host.vvar = [0x2000, 0x1000]
            host.vdsoOffset = 0x3000
        }
        let moves = calls(plan, "mremap").map { $0.expected.lowerBound }
        #expect(moves.count == 3)
        let new = UInt64(try #require(moves.last))
        #expect(moves == [Int64(new) - 0x3000, Int64(new) - 0x1000, Int64(new)])
        let taken = new - 0x3000..<new + 0x3000
        for vma in vmas where !vma.kind.contains(.vsyscall) { #expect(!taken.overlaps(vma.start..<vma.end)) }
        #expect(calls(plan, "mmap").contains { $0.expected.lowerBound == Int64(old.start) })
        #expect(calls(plan, "pread64").contains { $0.arguments[1] == .value(old.start) })
        #expect(calls(plan, "mprotect").contains { $0.arguments[0] == .value(old.start) && $0.arguments[2] == .int(5) })
        // The way out is in this kernel's, the other one being the program's own memory.
        #expect(taken.contains(plan.tasks[0].threads[0].leave.raw))
    }

    @Test func theSameVdsoMovesToItsPlace() throws {
        // What Apus itself left behind in the tail of an earlier life makes no difference.
        let plan = try FixturePlans.plan("registers") { _, host in
            let end = host.vdso.count
            host.vdso.replaceSubrange(end - 64..<end - 48, with: Array("\u{1}apus trampoline".utf8))
        }
        #expect(calls(plan, "mremap").count == 2)
        #expect(calls(plan, "process_vm_writev").isEmpty)
    }

    @Test func aVdsoThatCannotBeReadIsRefused() throws {
        let problems = #expect(throws: Problems.self) {
            try FixturePlans.plan("registers") { _, host in host.vdso[0x40] ^= 0xff }
        }
        #expect(problems?.all.map(\.code) == ["vdso-differs"])
    }

    @Test func aThreadAboutToCallTheOldVdsoIsRefused() throws {
        let offset = try #require(VdsoFunctions(image: Self.real())?.offsets["time"])
        for (distance, isRefused) in [(0, false), (1, true), (4, true), (5, false)] {
            let make = {
                try FixturePlans.plan("registers") { images, host in
                    host.vdso[9] ^= 0xff
                    let old = images.tasks[0].memory?.vmas.first { $0.kind.contains(.vdso) }
                    let at = (old?.start ?? 0) + UInt64(offset + distance)
                    images.tasks[0].threads[0].core.threadInfo.gpregs.ip = at
                }
            }
            if isRefused { #expect(throws: Problems.self) { try make() } } else { _ = try make() }
        }
    }

    @Test func aProgramWithoutVdsoIsGivenOneOutOfItsWay() throws {
        let plan = try FixturePlans.plan("registers") { images, _ in
            images.tasks[0].memory?.vmas.removeAll { !$0.kind.isDisjoint(with: [.vdso, .vvar]) }
        }
        #expect(calls(plan, "mremap").count == 2)
        #expect(plan.tasks[0].threads[0].leave.raw > 0x1000)
    }

    @Test func aProgramOf32BitsIsRefusedWhereTheKernelRunsNone() throws {
        for (segment, word) in [(0x23, "this kernel does not run"), (0x33, "mode")] as [(UInt64, String)] {
            let problems = #expect(throws: Problems.self) {
                try FixturePlans.plan("registers") { images, _ in
                    images.tasks[0].threads[0].core.threadInfo.gpregs.mode = .compat
                    images.tasks[0].threads[0].core.threadInfo.gpregs.cs = segment
                }
            }
            #expect(problems?.all.first?.summary.contains(word) == true)
            #expect(problems?.all.first?.code == "foreign-architecture")
        }
    }

    /// As if its vdso were the one of 32-bit programs.
    @Test func aProgramOf32BitsIsRebuiltByCallsOfItsKind() throws {
        let vdso = try Self.real()
        let change = { (images: inout CheckpointImages, host: inout RestoreHost) in
            host.compatVdso = vdso
            images.tasks[0].core.threadInfo.gpregs.mode = .compat
            images.tasks[0].threads[0].core.threadInfo.gpregs.mode = .compat
            images.tasks[0].threads[0].core.threadInfo.gpregs.cs = 0x23
            images.tasks[0].core.tc.sigactions[0].compatSigaction = true
            var segment = UserDescT()
            (segment.entryNumber, segment.baseAddr, segment.limit) = (12, 0x8_1000, 0xfffff)
            (segment.seg32Bit, segment.limitInPages, segment.usable) = (true, true, true)
            (segment.readExecOnly, segment.segNotPresent) = (false, false)
            images.tasks[0].threads[0].core.threadInfo.tls = [segment]
        }
        let plan = try FixturePlans.plan("registers", change: change)
        let map = try #require(calls(plan, "arch_prctl").first)
        #expect(map.arguments[0] == .int(0x2002) && map.expected == Int64(vdso.count)...Int64(vdso.count))
        #expect(calls(plan, "mremap").isEmpty)
        #expect(plan.tasks[0].rebuild.batch.calls.contains { $0.isCompat && $0.number == 174 })
        let segments = plan.tasks[0].finish.batch.calls.filter { $0.isCompat && $0.number == 243 }
        #expect(segments.count == 1)
        #expect(plan.tasks[0].threads[0].frame.raw % 16 == 4)
        // The vdso of another kernel stays at its place, and leads to this one's, which is within its reach.
        let proxied = try FixturePlans.plan("registers") { images, host in
            change(&images, &host)
            host.compatVdso?[9] ^= 0xff
        }
        let place = try #require(calls(proxied, "arch_prctl").first).arguments[1]
        guard case .value(let address) = place else { throw Unwrap.Missing() }
        #expect(address < 0xffff_e000)
        #expect(calls(proxied, "process_vm_writev").contains { $0.purpose.contains("old vdso") })
    }
}

/// The place of what stays with a program that did not have it.
@Suite struct AddressHoleTests {
    private func vma(_ start: UInt64, _ end: UInt64, _ kind: MappingStatus = .regular, flags: UInt32 = 2) -> VmaEntry {
        var entry = VmaEntry()
        (entry.start, entry.end, entry.kind, entry.flags) = (start, end, kind, flags)
        return entry
    }

    @Test func itIsAboveTheStackWhereThereIsRoom() throws {
        let stack = vma(0x7ffc_0000_0000, 0x7ffc_0002_1000, flags: 0x102)
        let hole = try #require(AddressHole.high(of: 0x6000, outside: [stack], and: 0..<0x1000))
        #expect(hole.raw == 0x7ffc_0003_1000)
    }

    @Test func itKeepsAwayFromWhereStackAndHeapGrow() throws {
        let stack = vma(0x7fff_fff0_0000, 0x7fff_ffff_e000, flags: 0x102)
        let library = vma(0x7fff_f000_0000, 0x7fff_f100_0000)
        let heap = vma(0x5555_0000_0000, 0x5555_0001_0000, .heap)
        let between = try #require(AddressHole.high(of: 0x6000, outside: [stack, library, heap], and: 0..<0x1000))
        #expect(between.raw == 0x7fff_f101_0000)
        // Within 128 MiB below the stack there is nothing: below the library then, but not where the heap would grow.
        let near = vma(0x7fff_f000_0000, 0x7fff_fd00_0000)
        let low = try #require(AddressHole.high(of: 0x6000, outside: [stack, near, heap], and: 0..<0x1000))
        #expect(low.raw == 0x5555_0001_0000 + 1 << 40)
    }

    @Test func whereThereIsNoneItSaysSo() {
        let all = vma(0x1000, 0x7fff_ffff_e000)
        #expect(AddressHole.high(of: 0x6000, outside: [all], and: 0..<0x1000) == nil)
    }
}
