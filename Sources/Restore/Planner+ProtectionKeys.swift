internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Objects
internal import Tracing

/// Protection keys (pkeys(7)), which the kernel gives out in rising order: all up to the highest that is needed are taken, and
/// those that are not to stay are given back.
///
/// What a thread may do with each key is in its signal frame, and so comes last of all.
extension Planner {
    /// Of a task, the memory with keys.
    func keyed(of task: TaskImages) -> [MemoryTraits.Keyed] {
        guard let json = images.supplement[.memory, task.pid], json["keyed"] != nil else { return [] }
        return MemoryTraits(json)?.keyed ?? []
    }

    /// Gives the first task the right to use all keys, which all tasks and threads that come of it have until their signal
    /// frames say otherwise: the kernel has to read them, be it from a stack with a key. Whoever takes a key gets the
    /// rights that it asks for, and keeps them when the key is given back (pkey_free(2)).
    func openKeys(in batch: inout Batch) {
        guard host.hasProtectionKeys, images.tasks.contains(where: { !keyed(of: $0).isEmpty }) else { return }
        for key in MemoryTraits.possibleKeys {
            // The kernel may have fewer than the processor.
            batch.call(
                Int(SYS_pkey_alloc), 0, 0, expecting: Batch.anything, for: "get the right to use protection key \(key)")
        }
        for key in MemoryTraits.possibleKeys {
            batch.call(
                Int(SYS_pkey_free), .int(key), expecting: Batch.anything, for: "give protection key \(key) back")
        }
    }

    /// Takes the keys. Memory that can only be executed has one that no call gives: the kernel takes it when such memory
    /// appears.
    mutating func composeKeys(
        _ traits: MemoryTraits, _ vmas: [VmaEntry], of task: TaskImages, in batch: inout Batch
    ) {
        let isOwn = { (keyed: MemoryTraits.Keyed) in traits.keys.contains(keyed.key) }
        let executed = traits.keyed.first { keyed in
            !isOwn(keyed) && vmas.contains { $0.start == keyed.range.lowerBound && $0.prot == UInt32(PROT_EXEC) }
        }
        let needed = Set(traits.keys + traits.keyed.map(\.key))
        guard let highest = needed.max() else { return }
        guard host.hasProtectionKeys else {
            if traits.keys.isEmpty && needed == Set([executed?.key].compactMap { $0 }) {
                return note(
                    "process \(task.pid): this processor has no protection keys, and memory that could only be executed can"
                        + " be read")
            }
            return problems.append(
                Problem(
                    .processorDiffers,
                    "it uses protection keys (pkeys \(needed.sorted().map(String.init).joined(separator: ", "))), which this"
                        + " host does not have",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore it on a host whose processor and kernel have them (`ospke` in /proc/cpuinfo)"))
        }
        for key in 1...highest {
            if let executed, executed.key == key {
                batch.call(
                    Int(SYS_mprotect), .value(executed.range.lowerBound), .value(UInt64(executed.range.count)),
                    .int(Int(PROT_EXEC)), for: "protect memory that can only be executed")
            } else {
                batch.call(
                    Int(SYS_pkey_alloc), 0, 0, expecting: Int64(key)...Int64(key), for: "take protection key \(key)")
            }
        }
    }

    /// Gives mappings their keys, and gives back the keys that the program had not, or no longer.
    func composeKeyed(_ traits: MemoryTraits, _ vmas: [VmaEntry], in batch: inout Batch) {
        guard host.hasProtectionKeys, let highest = (traits.keys + traits.keyed.map(\.key)).max() else { return }
        var executed: Int?
        let vmas = Dictionary(vmas.map { ($0.start, $0) }) { first, _ in first }
        for keyed in traits.keyed {
            guard let vma = vmas[keyed.range.lowerBound] else { continue }
            if !traits.keys.contains(keyed.key), vma.prot == UInt32(PROT_EXEC) {
                executed = keyed.key
                continue
            }
            batch.call(
                Int(SYS_pkey_mprotect), .value(keyed.range.lowerBound), .value(UInt64(keyed.range.count)),
                .value(UInt64(vma.prot)), .int(keyed.key), for: "give the memory at \(range(vma)) key \(keyed.key)")
        }
        for key in 1...highest where key != executed && !traits.keys.contains(key) {
            batch.call(Int(SYS_pkey_free), .int(key), for: "give protection key \(key) back")
        }
    }
}
