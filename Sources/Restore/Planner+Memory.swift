internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

extension MappingStatus {
    /// What Apus does not restore yet.
    static let unsupported: MappingStatus = [.systemV, .socket, .asyncIORing, .shadowStack, .guardPages]
    /// What the kernel itself gives a process.
    static let kernels: MappingStatus = [.vsyscall, .vdso, .vvar]
}

/// Rebuilding an address space. When it begins, only Apus' area is mapped in the task.
extension Planner {
    /// mmap(2) flags that are carried over as they are.
    private static let carriedFlags = UInt32(MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE)
    private static let noReplace: UInt32 = 0x100000
    /// RANDOM, SEQUENTIAL, DONTFORK, MERGEABLE, HUGEPAGE, NOHUGEPAGE, DONTDUMP, WIPEONFORK (madvise(2)): what stays
    /// with a mapping. The others do something at once, to the content of a shared file for one.
    private static let carriedAdvice = [1, 2, 10, 12, 14, 15, 16, 18]
    private static let largestRead: UInt64 = 0x4000_0000

    mutating func composeMemory(of task: TaskImages, in batch: inout Batch) {
        guard let memory = task.memory else { return }
        let segments: [PageLayers.Segment]
        do throws(Problem) {
            segments = try layers.segments(id: UInt64(task.pid))
        } catch {
            return problems.append(error)
        }
        let vmas = memory.vmas.filter { $0.kind.isDisjoint(with: .kernels) }
        var opened: [Int] = []
        for (index, vma) in vmas.enumerated() {
            let stored = overlaps(segments, vma.start, vma.end)
            if map(vma, writable: stored, of: task, in: &batch) { opened.append(index) }
        }
        fill(segments, vmas, in: &batch)
        for index in opened {
            let vma = vmas[index]
            batch.call(
                Int(SYS_mprotect), .value(vma.start), .value(vma.end - vma.start), .value(UInt64(vma.prot)),
                for: "protect \(range(vma))")
        }
        for vma in vmas { advise(vma, in: &batch) }
        placeVdso(memory, of: task, in: &batch)
        describe(memory, of: task, in: &batch)
    }

    private func overlaps(_ segments: [PageLayers.Segment], _ start: UInt64, _ end: UInt64) -> Bool {
        // The first segment that ends behind the start; they are sorted.
        var (low, high) = (0, segments.count)
        while low < high {
            let middle = (low + high) / 2
            let segment = segments[middle]
            if segment.address + segment.pages * Pagemap.pageSize <= start { low = middle + 1 } else { high = middle }
        }
        return low < segments.count && segments[low].address < end
    }

    private func range(_ vma: VmaEntry) -> String {
        String(vma.start, radix: 16) + "-" + String(vma.end, radix: 16)
    }

    /// Adds one mapping.
    ///
    /// - Returns: whether it is mapped writable for the time being and has to be protected later.
    private mutating func map(_ vma: VmaEntry, writable: Bool, of task: TaskImages, in batch: inout Batch) -> Bool {
        let status = vma.kind
        guard status.isDisjoint(with: .unsupported) else {
            problems.append(unsupported(vma, of: task))
            return false
        }
        var flags = vma.flags & Self.carriedFlags
        var descriptor: Int32 = -1
        var purpose = "map \(range(vma))"
        if !status.isDisjoint(with: [.privateFile, .sharedFile, .memfd]) {
            // Old images do not say how the file was opened; it must allow what is mapped.
            let isWritten = status.contains(.sharedFile) && vma.prot & UInt32(PROT_WRITE) != 0
            let access = vma.hasFdflags ? vma.fdflags & UInt32(O_ACCMODE) : isWritten ? UInt32(O_RDWR) : 0
            guard let id = UInt32(exactly: vma.shmid),
                let file = self.descriptor(
                    mapping: .init(status.contains(.memfd) ? .memfd : .reg, id), flags: access)
            else { return false }
            descriptor = file
            purpose += " of " + (plan.openings.first { $0.descriptor == file }?.resource.description ?? "a file")
            flags &= ~UInt32(MAP_ANONYMOUS)
        } else if status.contains(.sharedAnonymous) {
            descriptor = self.descriptor(
                ofSharedMemory: vma.shmid, size: sharedMemorySize(vma.shmid))
            flags &= ~UInt32(MAP_ANONYMOUS)
            purpose += " of shared memory \(vma.shmid)"
        } else {
            flags |= UInt32(MAP_ANONYMOUS)
        }
        let opens = writable && vma.prot & UInt32(PROT_WRITE) == 0
        let protection = vma.prot | (opens ? UInt32(PROT_READ | PROT_WRITE) : 0)
        batch.call(
            Int(SYS_mmap), .value(vma.start), .value(vma.end - vma.start), .value(UInt64(protection)),
            .value(UInt64(flags | Self.noReplace)), .signed(descriptor), .value(vma.pgoff),
            expecting: Int64(vma.start)...Int64(vma.start), for: purpose)
        return opens
    }

    /// How far into a shared memory object any task maps it.
    private func sharedMemorySize(_ id: UInt64) -> UInt64 {
        images.tasks.compactMap(\.memory).flatMap(\.vmas)
            .filter { $0.shmid == id && $0.kind.contains(.sharedAnonymous) }
            .map { $0.pgoff + ($0.end - $0.start) }.max() ?? 0
    }

    /// Reads the stored pages into the mappings; those of the kernel's own mappings are left out.
    private mutating func fill(_ segments: [PageLayers.Segment], _ vmas: [VmaEntry], in batch: inout Batch) {
        var index = 0
        let sorted = vmas.sorted { $0.start < $1.start }
        for segment in segments {
            var start = segment.address
            let end = segment.address + segment.pages * Pagemap.pageSize
            while index < sorted.count, sorted[index].end <= start { index += 1 }
            var cursor = index
            while start < end, cursor < sorted.count, sorted[cursor].start < end {
                // Neighbouring mappings are filled in one go.
                start = max(start, sorted[cursor].start)
                var stop = min(end, sorted[cursor].end)
                while stop < end, cursor + 1 < sorted.count, sorted[cursor + 1].start == stop {
                    cursor += 1
                    stop = min(end, sorted[cursor].end)
                }
                read(segment, from: start, to: stop, in: &batch)
                start = stop
                cursor += 1
            }
        }
    }

    private mutating func read(_ segment: PageLayers.Segment, from start: UInt64, to end: UInt64, in batch: inout Batch)
    {
        let file = descriptor(of: segment)
        var start = start
        while start < end {
            let count = min(end - start, Self.largestRead)
            batch.call(
                Int(SYS_pread64), .signed(file), .value(start), .value(count),
                .value(segment.fileOffset + (start - segment.address)), expecting: Int64(count)...Int64(count),
                for: "read \(count / Pagemap.pageSize) pages at \(String(start, radix: 16))")
            start += count
        }
    }

    private func advise(_ vma: VmaEntry, in batch: inout Batch) {
        for advice in Self.carriedAdvice where vma.hasMadv && vma.madv & (1 << UInt64(advice)) != 0 {
            batch.call(
                Int(SYS_madvise), .value(vma.start), .value(vma.end - vma.start), .int(advice),
                for: "advise \(range(vma))")
        }
        if vma.flags & UInt32(MAP_LOCKED) != 0 {
            batch.call(
                Int(SYS_mlock), .value(vma.start), .value(vma.end - vma.start), for: "lock \(range(vma))")
        }
    }

    private func unsupported(_ vma: VmaEntry, of task: TaskImages) -> Problem {
        let status = vma.kind
        let kind =
            status.contains(.systemV)
            ? "SysV shared memory"
            : status.contains(.asyncIORing)
                ? "an AIO ring"
                : status.contains(.guardPages)
                    ? "guard pages" : status.contains(.shadowStack) ? "a shadow stack" : "a socket's ring buffer"
        return Problem(
            .objectUnsupported, "it maps \(kind), which Apus cannot restore yet",
            object: .init(pid: task.pid, process: task.task.commText, address: vma.start),
            remedy: "Restore these images with CRIU")
    }

    // MARK: What the kernel gives

    /// Moves vvar and vdso from where they are parked to where the program knows them.
    private mutating func placeVdso(_ memory: MmEntry, of task: TaskImages, in batch: inout Batch) {
        let vvars = memory.vmas.filter { $0.kind.contains(.vvar) }
        let total = host.vvar.reduce(0, +)
        guard let vdso = memory.vmas.first(where: { $0.kind.contains(.vdso) }),
            let vvar = vvars.first, vvars.reduce(0, { $0 + ($1.end - $1.start) }) == total,
            vdso.end - vdso.start == UInt64(host.vdso.count), vdso.start &- vvar.start == host.vdsoOffset,
            hasSameVdso(vdso, of: task)
        else {
            return problems.append(
                Problem(
                    .vdsoDiffers, "it was dumped on a kernel whose vdso is another",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore it on a host with the same kernel; `uname -r` of both must agree"))
        }
        var offset: UInt64 = 0
        for length in host.vvar {
            move(from: plan.area.parking.raw + offset, to: vvar.start + offset, length, in: &batch)
            offset += length
        }
        move(from: plan.area.parking.raw + host.vdsoOffset, to: vdso.start, UInt64(host.vdso.count), in: &batch)
    }

    private func move(from: UInt64, to: UInt64, _ length: UInt64, in batch: inout Batch) {
        let moveToFixed: UInt64 = 3  // MREMAP_MAYMOVE | MREMAP_FIXED
        batch.call(
            Int(SYS_mremap), .value(from), .value(length), .value(length), .value(moveToFixed), .value(to),
            expecting: Int64(to)...Int64(to), for: "put vdso or vvar at \(String(to, radix: 16))")
    }

    /// Whether the vdso in the images, where they hold its pages, is this kernel's.
    private func hasSameVdso(_ vma: VmaEntry, of task: TaskImages) -> Bool {
        guard let segments = try? layers.segments(id: UInt64(task.pid)) else { return false }
        let own = Husk.vdsoLength(host.vdso)
        for segment in segments where segment.address < vma.end {
            let end = segment.address + segment.pages * Pagemap.pageSize
            let (start, stop) = (max(segment.address, vma.start), min(end, vma.end, vma.start + UInt64(own)))
            guard start < stop else { continue }
            let file = PagesFile(directory: layers.directories[segment.layer], id: segment.pagesID)
            let offset = Int(start - vma.start)
            guard
                let bytes = file.bytes(
                    at: segment.fileOffset + (start - segment.address), count: stop - start),
                bytes == Array(host.vdso[offset..<offset + bytes.count])
            else { return false }
        }
        return true
    }

    /// What `/proc/PID/{cmdline,environ,auxv,exe}`, the heap and the name of the stack depend on
    /// (PR_SET_MM_MAP, prctl(2)).
    private mutating func describe(_ memory: MmEntry, of task: TaskImages, in batch: inout Batch) {
        guard let executable = descriptor(.init(.reg, memory.exeFileID)) else { return }
        var vector = memory.mmSavedAuxv
        // Old dumps store the whole of the kernel's array; it may have been longer than this kernel's.
        while vector.count > 2, vector.suffix(4) == [0, 0, 0, 0] { vector.removeLast(2) }
        var bytes: [UInt8] = []
        for value in vector { bytes.append(littleEndian: value) }
        let auxiliary = batch.buffer(bytes)
        var map: [UInt8] = []
        for value in [
            memory.mmStartCode, memory.mmEndCode, memory.mmStartData, memory.mmEndData, memory.mmStartBrk, memory.mmBrk,
            memory.mmStartStack, memory.mmArgStart, memory.mmArgEnd, memory.mmEnvStart, memory.mmEnvEnd, 0,
        ] { map.append(littleEndian: value) }
        map.append(littleEndian: UInt32(bytes.count))
        map.append(littleEndian: UInt32(bitPattern: executable))
        let block = batch.buffer(map)
        batch.store(addressOf: auxiliary, in: block, at: 88)
        let (setMemory, setMap): (Int, Int) = (35, 14)  // PR_SET_MM, PR_SET_MM_MAP
        batch.call(
            Int(SYS_prctl), .int(setMemory), .int(setMap), .address(block), .int(map.count), 0,
            for: "describe its memory to the kernel (executable, arguments, heap)")
    }
}

extension Problem.Code {
    static let vdsoDiffers: Self = "vdso-differs"
}
