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
    static let unsupported: MappingStatus = [.shadowStack, .guardPages]
    /// What the kernel itself gives a process.
    static let kernels: MappingStatus = [.vsyscall, .vdso, .vvar]
}

/// Rebuilding an address space. When it begins, only Apus' area is mapped in the task.
extension Planner {
    /// mmap(2) flags that are carried over as they are.
    private static let carriedFlags =
        UInt32(MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE | MAP_HUGETLB)
        | hugeSizes | droppable
    /// The binary logarithm of the size of a huge page.
    private static let hugeSizes: UInt32 = 0x3f << 26
    /// MAP_DROPPABLE, which takes the place of MAP_PRIVATE.
    private static let droppable: UInt32 = 0x8
    static let noReplace: UInt32 = 0x100000
    /// RANDOM, SEQUENTIAL, DONTFORK, MERGEABLE, HUGEPAGE, NOHUGEPAGE, DONTDUMP, WIPEONFORK (madvise(2)): what stays
    /// with a mapping. The others do something at once, to the content of a shared file for one.
    private static let carriedAdvice = [1, 2, 10, 12, 14, 15, 16, 18]

    mutating func composeMemory(of task: TaskImages, in batch: inout Batch) {
        guard let memory = task.memory else { return }
        let segments: [PageLayers.Segment]
        do throws(Problem) {
            segments = try self.segments(of: task)
        } catch {
            return problems.append(error)
        }
        let vmas = memory.vmas.filter { $0.kind.isDisjoint(with: .kernels) }
        // Before there are pages: they go where the policy says.
        composeMemoryPolicy(of: task.pid, in: &batch)
        let inherited = takeInherited(task, vmas, in: &batch)
        let traits = memoryTraits(of: task)
        let droppable = Set(traits.droppable.map(\.lowerBound))
        var opened: [Int] = []
        attachSegments(vmas, of: task, in: &batch)
        for (index, vma) in vmas.enumerated() where !vma.kind.contains(.systemV) && !isRequestRing(vma) {
            if vma.kind.contains(.asyncIORing) {
                reserveRing(vma, in: &batch)
                continue
            }
            var vma = vma
            if droppable.contains(vma.start) { vma.flags = vma.flags & ~UInt32(MAP_PRIVATE) | Self.droppable }
            let stored = overlaps(segments, vma.start, vma.end)
            var isOpen = inherited.isOtherwiseProtected(vma)
            for part in inherited.missing(of: vma) where map(part, writable: stored, of: task, in: &batch) {
                isOpen = true
            }
            if isOpen { opened.append(index) }
        }
        composePolicies(traits, of: task, in: &batch)
        drop(inherited.surplus(over: segments), in: &batch)
        let ordinary = vmas.filter { !$0.kind.contains(.asyncIORing) }
        fill(inherited.missing(of: segments), ordinary, of: task, in: &batch)
        composeRings(vmas, segments, of: task, in: &batch)
        composeRequestRings(vmas, of: task, in: &batch)
        composeKeys(traits, vmas, of: task, in: &batch)
        let apart = Set(traits.keyed.filter { traits.keys.contains($0.key) }.map(\.range.lowerBound))
        for index in opened where !apart.contains(vmas[index].start) {
            let vma = vmas[index]
            batch.call(
                Int(SYS_mprotect), .value(vma.start), .value(vma.end - vma.start), .value(UInt64(vma.prot)),
                for: "protect \(range(vma))")
        }
        composeKeyed(traits, vmas, in: &batch)
        composeGuards(traits, in: &batch)
        let onFault = Set(traits.lockedOnFault.map(\.lowerBound))
        for vma in vmas {
            advise(vma, in: &batch)
            lock(vma, onFault: onFault.contains(vma.start), traits, in: &batch)
        }
        placeVdso(memory, of: task, in: &batch)
        describe(memory, of: task, in: &batch)
        composeFinalLocks(traits, in: &batch)
        composeLatePages(of: task, vmas, segments, in: &batch)
    }

    func overlaps(_ segments: [PageLayers.Segment], _ start: UInt64, _ end: UInt64) -> Bool {
        // The first segment that ends behind the start; they are sorted.
        var (low, high) = (0, segments.count)
        while low < high {
            let middle = (low + high) / 2
            let segment = segments[middle]
            if segment.address + segment.pages * Pagemap.pageSize <= start { low = middle + 1 } else { high = middle }
        }
        return low < segments.count && segments[low].address < end
    }

    func range(_ vma: VmaEntry) -> String {
        String(vma.start, radix: 16) + "-" + String(vma.end, radix: 16)
    }

    /// Adds one mapping.
    ///
    /// - Returns: whether it is mapped writable for the time being and has to be protected later.
    mutating func map(_ vma: VmaEntry, writable: Bool, of task: TaskImages, in batch: inout Batch) -> Bool {
        let status = vma.kind
        guard status.isDisjoint(with: .unsupported) else {
            problems.append(unsupported(vma, of: task))
            return false
        }
        var flags = vma.flags & Self.carriedFlags
        var descriptor: Int32 = -1
        var purpose = "map \(range(vma))"
        if status.contains(.socket) {
            guard let id = UInt32(exactly: vma.shmid), let socket = self.descriptor(.init(.packetsk, id)) else {
                return false
            }
            descriptor = socket
            flags = flags & ~UInt32(MAP_ANONYMOUS | MAP_PRIVATE) | UInt32(MAP_SHARED)
            purpose += ", the rings of a packet socket"
        } else if !status.isDisjoint(with: [.privateFile, .sharedFile, .memfd]) {
            // Old images do not say how the file was opened; it must allow what is mapped.
            let isWritten = status.contains(.sharedFile) && vma.prot & UInt32(PROT_WRITE) != 0
            let access = vma.hasFdflags ? vma.fdflags & UInt32(O_ACCMODE) : isWritten ? UInt32(O_RDWR) : 0
            guard let id = UInt32(exactly: vma.shmid),
                let file = self.descriptor(
                    mapping: .init(status.contains(.memfd) ? .memfd : .reg, id), flags: access)
            else { return false }
            descriptor = file
            purpose += " of " + (mappedNames[file] ?? "a file")
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
        // The kernel gives memory that can only be executed a key of its own: not before the others have theirs.
        let waits = !opens && host.hasProtectionKeys && vma.prot == UInt32(PROT_EXEC)
        let protection = waits ? 0 : vma.prot | (opens ? UInt32(PROT_READ | PROT_WRITE) : 0)
        batch.call(
            Int(SYS_mmap), .value(vma.start), .value(vma.end - vma.start), .value(UInt64(protection)),
            .value(UInt64(flags | Self.noReplace)), .signed(descriptor), .value(vma.pgoff),
            expecting: Int64(vma.start)...Int64(vma.start), for: purpose)
        return opens || waits
    }

    /// The flags of mmap(2) for a mapping without a file.
    static func flagsOfAnonymous(_ vma: VmaEntry) -> UInt32 { vma.flags & carriedFlags | UInt32(MAP_ANONYMOUS) }

    /// How far into a shared memory object any task maps it.
    func sharedMemorySize(_ id: UInt64) -> UInt64 {
        images.tasks.compactMap(\.memory).flatMap(\.vmas)
            .filter { $0.shmid == id && $0.kind.contains(.sharedAnonymous) && !$0.kind.contains(.systemV) }
            .map { $0.pgoff + ($0.end - $0.start) }.max() ?? 0
    }

    func advise(_ vma: VmaEntry, in batch: inout Batch) {
        for advice in Self.carriedAdvice where vma.hasMadv && vma.madv & (1 << UInt64(advice)) != 0 {
            batch.call(
                Int(SYS_madvise), .value(vma.start), .value(vma.end - vma.start), .int(advice),
                for: "advise \(range(vma))")
        }
    }

    private func lock(_ vma: VmaEntry, onFault: Bool, _ traits: MemoryTraits, in batch: inout Batch) {
        guard vma.flags & UInt32(MAP_LOCKED) != 0 else { return }
        // The lock holds, but bringing in the pages of a guard fails, and is reported; so it is with memory that can only be
        // executed, where its key forbids to read it.
        let isUnreadable =
            traits.guards.contains { $0.lowerBound < vma.end && $0.upperBound > vma.start }
            || host.hasProtectionKeys && vma.prot == UInt32(PROT_EXEC)
        batch.call(
            Int(SYS_mlock2), .value(vma.start), .value(vma.end - vma.start), onFault ? 1 : 0,
            expecting: isUnreadable ? Batch.anything : Batch.success, for: "lock \(range(vma))")
    }

    func unsupported(_ vma: VmaEntry, of task: TaskImages) -> Problem {
        let status = vma.kind
        let kind =
            status.contains(.guardPages) ? "guard pages" : "a shadow stack"
        return Problem(
            .objectUnsupported, "it maps \(kind), which Apus cannot restore yet",
            object: .init(pid: task.pid, process: task.task.commText, address: vma.start),
            remedy: "Restore these images with CRIU")
    }

    /// What `/proc/PID/{cmdline,environ,auxv,exe}`, the heap and the name of the stack depend on
    /// (PR_SET_MM_MAP, prctl(2)).
    mutating func describe(_ memory: MmEntry, of task: TaskImages, in batch: inout Batch) {
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
