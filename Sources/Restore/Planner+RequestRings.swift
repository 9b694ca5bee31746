internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Memory
internal import Objects
internal import Tracing

/// Mapping the memory of io_uring where it was.
///
/// Since Linux 6.5 the kernel takes no address for it, neither from mmap(2) nor from mremap(2) (io_uring_get_unmapped_area of
/// io_uring/memmap.c): it chooses a place itself. So when everything else is mapped, all of the address space that is still free is
/// taken, but for that one place, and the kernel has no choice.
extension Planner {
    /// Whether a mapping is of a ring that is told of in the supplement.
    func isRequestRing(_ vma: VmaEntry) -> Bool {
        guard vma.kind.contains(.sharedFile), let id = UInt32(exactly: vma.shmid) else { return false }
        return images.supplement[.uring, id] != nil
    }

    /// Has the mailbox reach to the end of Apus' area, where no hole may be left in it.
    mutating func closeArea() {
        if images.supplement.keys(of: .uring).isEmpty { return }
        plan.mailboxSize = Int(wholeArea.upperBound - plan.area.mailbox.raw)
    }

    /// What Apus' own things take.
    var wholeArea: Range<UInt64> {
        let size = (UInt64(room) + Pagemap.pageSize - 1) / Pagemap.pageSize * Pagemap.pageSize
        return plan.area.base.raw..<plan.area.base.raw + size
    }

    mutating func composeRequestRings(_ vmas: [VmaEntry], of task: TaskImages, in batch: inout Batch) {
        let rings = vmas.filter(isRequestRing)
        if rings.isEmpty { return }
        if isCompat(task) {
            return problems.append(
                Problem(
                    .objectUnsupported, "io_uring of a 32-bit program cannot be restored",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Run the program without io_uring"))
        }
        let places = rings.map { $0.start..<$0.end }
        let fillers = fill(except: vmas.filter { !isRequestRing($0) }.map { $0.start..<$0.end } + places, in: &batch)
        for place in places { take(place, expecting: Int64(place.lowerBound)...Int64(place.lowerBound), in: &batch) }
        for ring in rings {
            guard let descriptor = descriptor(.init(.reg, UInt32(truncatingIfNeeded: ring.shmid))) else { continue }
            // Now there is no place but this one.
            batch.call(
                Int(SYS_munmap), .value(ring.start), .value(ring.end - ring.start), for: "free \(range(ring))")
            batch.call(
                Int(SYS_mmap), 0, .value(ring.end - ring.start), .value(UInt64(ring.prot)), .int(Int(MAP_SHARED)),
                .signed(descriptor), .value(ring.pgoff), expecting: Int64(ring.start)...Int64(ring.start),
                for: "map \(range(ring)) of an io_uring")
        }
        for filler in fillers {
            batch.call(
                Int(SYS_munmap), .result(filler.call), .value(filler.size), expecting: Batch.anything,
                for: "free the address space again")
        }
    }

    /// Has a process register memory with its rings again, and a thread its numbers for them: when all descriptors are there.
    mutating func composeRingRegistrations(_ index: Int, _ number: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        if number == plan.tasks[index].firstLasting {
            for key in images.supplement.keys(of: .uring) {
                guard let buffers = images.supplement[.uring, key].flatMap(RegisteredBuffers.init),
                    buffers.process == task.pid, !buffers.ranges.isEmpty
                else { continue }
                register(buffers, in: &batch)
            }
            for key in images.supplement.keys(of: .uring) {
                guard let files = images.supplement[.uring, key].flatMap(RegisteredFiles.init),
                    files.process == task.pid
                else { continue }
                register(files, in: &batch)
            }
        }
        let known = ThreadSettings(images.supplement[.thread, task.threads[number].tid]).ringNumbers
        let registerNumbers = 20  // IORING_REGISTER_RING_FDS
        for (place, descriptor) in known.sorted(by: { $0.key < $1.key }) {
            // struct io_uring_rsrc_update: the number, 32 reserved bits, the descriptor.
            var update: [UInt8] = []
            for value in [UInt64(UInt32(truncatingIfNeeded: place)), UInt64(UInt32(bitPattern: descriptor))] {
                update.append(littleEndian: value)
            }
            let buffer = batch.buffer(update)
            batch.call(
                Int(SYS_io_uring_register), .signed(descriptor), .int(registerNumbers), .address(buffer), 1,
                expecting: 1...1, for: "register descriptor \(descriptor), an io_uring, under number \(place)")
        }
    }

    private func register(_ files: RegisteredFiles, in batch: inout Batch) {
        let (registerFiles, free) = (2, -1 as Int32)  // IORING_REGISTER_FILES; a place that is not taken
        var bytes: [UInt8] = []
        for place in 0..<files.count { bytes.append(littleEndian: files.places[place] ?? free) }
        batch.call(
            Int(SYS_io_uring_register), .signed(files.descriptor), .int(registerFiles), .address(batch.buffer(bytes)),
            .int(files.count), for: "register \(files.count) files with descriptor \(files.descriptor), an io_uring")
    }

    private func register(_ buffers: RegisteredBuffers, in batch: inout Batch) {
        var vectors: [UInt8] = []
        for range in buffers.ranges {
            vectors.append(littleEndian: range.lowerBound)
            vectors.append(littleEndian: range.upperBound - range.lowerBound)
        }
        let registerBuffers = 0  // IORING_REGISTER_BUFFERS
        batch.call(
            Int(SYS_io_uring_register), .signed(buffers.descriptor), .int(registerBuffers),
            .address(batch.buffer(vectors)), .int(buffers.ranges.count),
            for: "register \(buffers.ranges.count) buffers with descriptor \(buffers.descriptor), an io_uring")
    }

    /// Takes all of the address space, but for some places. What is taken already stays as it is.
    ///
    /// - Returns: the calls, whose results are addresses, or errors where something is there, and the sizes.
    private func fill(
        except places: [Range<UInt64>], in batch: inout Batch
    ) -> [(call: Int, size: UInt64)] {
        // What mmap(2) hands out of itself (TASK_SIZE of asm/page_64_types.h).
        let (lowest, lowestAllowed, highest): (UInt64, UInt64, UInt64) = (0x1000, 0x10000, 0x7fff_ffff_f000)
        let area = wholeArea
        let holes = (lowestAllowed..<highest).without((places + [area]).sorted { $0.lowerBound < $1.lowerBound })
        // In front of its code and its mailbox, Apus' own area has pages that are not mapped.
        let own = stride(from: area.lowerBound, to: plan.area.code.raw, by: Int(Pagemap.pageSize))
            .map { $0..<$0 + Pagemap.pageSize }
        // Below vm.mmap_min_addr only a capability leads.
        return ([lowest..<lowestAllowed] + holes + own).map { hole in
            (take(hole, expecting: Batch.anything, in: &batch), hole.upperBound - hole.lowerBound)
        }
    }

    @discardableResult
    private func take(_ place: Range<UInt64>, expecting expected: ClosedRange<Int64>, in batch: inout Batch) -> Int {
        let (anonymous, noReserve) = (UInt64(MAP_PRIVATE | MAP_ANONYMOUS), 0x4000 as UInt64)
        return batch.call(
            Int(SYS_mmap), .value(place.lowerBound), .value(place.upperBound - place.lowerBound),
            .int(Int(PROT_NONE)), .value(anonymous | noReserve | UInt64(Self.noReplace)), -1, 0, expecting: expected,
            for: "leave the kernel no other place for an io_uring")
    }
}
