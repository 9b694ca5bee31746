internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What holds for a process as a whole: name, limits, and what prctl(2) sets.
extension Planner {
    /// Registers the process for the expedited barriers of membarrier(2): each registration is the command of its bit.
    private func composeBarriers(_ core: TaskCoreEntry, in batch: inout Batch) {
        let registrations: UInt32 = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 8
        for bit in 0..<32 where core.membarrierRegistrationMask & registrations & 1 << bit != 0 {
            batch.call(Int(SYS_membarrier), .int(1 << bit), 0, 0, for: "register it for memory barriers")
        }
    }

    /// - Parameter ofMemory: also what belongs to the memory, which is not for each of several that share it.
    func composeAttributes(_ task: TaskImages, ofMemory: Bool, in batch: inout Batch) {
        let core = task.task
        let name = batch.string(core.commBytes)
        batch.call(Int(SYS_prctl), 15, .address(name), for: "name the process")
        if ofMemory {
            if task.memory?.thpDisabled == true {
                batch.call(Int(SYS_prctl), 41, 1, 0, 0, 0, for: "disable huge pages")
            }
            composeMemorySettings(task, in: &batch)
            composeBarriers(core, in: &batch)
        }
        composeProcessSettings(task, in: &batch)
        batch.call(Int(SYS_personality), .value(UInt64(core.personality)), for: "set its personality")
        let isLater = lowersFileLimit(task)
        if isLater { composeFileLimitMeanwhile(task, in: &batch) }
        for (resource, limit) in core.rlimits.rlimits.enumerated() {
            if comesLater(resource, task) || isLater && resource == Self.fileLimit { continue }
            composeLimit(resource, limit, in: &batch)
        }
    }

    func composeLimit(
        _ resource: Int, _ limit: RlimitEntry, expecting: ClosedRange<Int64> = Batch.success, in batch: inout Batch
    ) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: limit.cur)
        bytes.append(littleEndian: limit.max)
        let value = batch.buffer(bytes)
        batch.call(
            Int(SYS_prlimit64), 0, .int(resource), .address(value), 0, expecting: expecting,
            for: "set resource limit \(resource) to \(limit.cur):\(limit.max)")
    }
}
