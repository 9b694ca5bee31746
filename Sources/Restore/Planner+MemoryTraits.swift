internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Tracing

/// What the supplement says about the memory of a task.
extension Planner {
    /// The traits, checked: they lie within mappings of the task.
    mutating func memoryTraits(of task: TaskImages) -> MemoryTraits {
        guard let json = images.supplement[.memory, task.pid] else { return MemoryTraits() }
        let vmas = task.memory?.vmas ?? []
        guard let traits = MemoryTraits(json), traits.ranges.allSatisfy({ Planner.isCovered($0, by: vmas) }),
            Planner.areWhole(traits.keyed, in: vmas)
        else {
            problems.append(
                Problem(
                    .imageUnsuitable, "what the supplement of the images says about its memory makes no sense",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Copy the images again, all of them"))
            return MemoryTraits()
        }
        return traits
    }

    /// Two parts of a mapping cannot have different keys.
    private static func areWhole(_ keyed: [MemoryTraits.Keyed], in vmas: [VmaEntry]) -> Bool {
        if keyed.isEmpty { return true }
        let ends = Dictionary(vmas.map { ($0.start, $0.end) }) { first, _ in first }
        return keyed.allSatisfy { ends[$0.range.lowerBound] == $0.range.upperBound }
    }

    static func isCovered(_ range: Range<UInt64>, by vmas: [VmaEntry]) -> Bool {
        // The first mapping that ends behind the start; they are sorted.
        var (low, high) = (0, vmas.count)
        while low < high {
            let middle = (low + high) / 2
            if vmas[middle].end <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        var covered = range.lowerBound
        while covered < range.upperBound, low < vmas.count, vmas[low].start <= covered {
            covered = vmas[low].end
            low += 1
        }
        return covered >= range.upperBound
    }

    /// Names, and guards, which take the place of what was in their pages: before anything is locked, which the kernel
    /// does not have with guards.
    func composeGuards(_ traits: MemoryTraits, in batch: inout Batch) {
        let (setArea, anonymousName): (UInt64, Int) = (0x5356_4d41, 0)  // PR_SET_VMA, PR_SET_VMA_ANON_NAME
        for named in traits.names {
            let name = batch.string(named.name)
            // A kernel without CONFIG_ANON_VMA_NAME has no names; a program can do without.
            batch.call(
                Int(SYS_prctl), .value(setArea), .int(anonymousName), .value(named.range.lowerBound),
                .value(UInt64(named.range.count)), .address(name), expecting: Batch.anything,
                for: "name the memory at \(String(named.range.lowerBound, radix: 16))")
        }
        let installGuards = 102  // MADV_GUARD_INSTALL
        for range in traits.guards {
            batch.call(
                Int(SYS_madvise), .value(range.lowerBound), .value(UInt64(range.count)), .int(installGuards),
                for: "put guards at \(String(range.lowerBound, radix: 16))")
        }
    }

    /// What forbids later changes, or applies to what is mapped later: the end of rebuilding an address space.
    func composeFinalLocks(_ traits: MemoryTraits, in batch: inout Batch) {
        let seal = 462  // mseal(2)
        for range in traits.sealed {
            batch.call(
                seal, .value(range.lowerBound), .value(UInt64(range.count)), 0,
                for: "seal the memory at \(String(range.lowerBound, radix: 16)) (this needs Linux 6.10)")
        }
        guard traits.futureLocks != 0 else { return }
        batch.call(
            Int(SYS_mlockall), .value(UInt64(traits.futureLocks & 6)), for: "have future memory locked (mlockall)")
    }
}
