internal import CLinux
internal import Images
internal import Objects
internal import Tracing

/// On which nodes of the host memory is taken (numa(7)). A policy is advice about speed and not about what the program
/// computes, so a host with other nodes runs it with what is left of the policy, and says so.
extension Planner {
    /// One more than there are bits, as set_mempolicy(2) wants to be told.
    private static let bits = MemoryPolicy.nodeLimit + 1

    /// Gives a thread its policy, or takes that of Apus from it. Images of others do not say.
    mutating func composeMemoryPolicy(of tid: Int32, in batch: inout Batch) {
        let wanted = ThreadSettings(images.supplement[.thread, tid]).memoryPolicy
        guard images.manifest != nil || wanted != nil else { return }
        guard let wanted, let policy = reduced(wanted, of: "thread \(tid)") else {
            // A kernel without nodes has no policies either.
            batch.call(
                Int(SYS_set_mempolicy), 0, 0, 0, expecting: Batch.anything, for: "give it no policy of memory")
            return
        }
        let mask = batch.buffer(policy.mask)
        batch.call(
            Int(SYS_set_mempolicy), .value(UInt64(policy.mode)), .address(mask), .int(Self.bits),
            for: "set its policy of memory",
            losing: "thread \(tid) has not its policy of memory (\(wanted.description))")
    }

    /// Gives mappings their policies.
    mutating func composePolicies(_ traits: MemoryTraits, of task: TaskImages, in batch: inout Batch) {
        for placed in traits.policies {
            let who = "memory of process \(task.pid)"
            guard let policy = reduced(placed.policy, of: who) else { continue }
            let mask = batch.buffer(policy.mask)
            let place = String(placed.range.lowerBound, radix: 16)
            batch.call(
                Int(SYS_mbind), .value(placed.range.lowerBound), .value(UInt64(placed.range.count)),
                .value(UInt64(policy.mode)), .address(mask), .int(Self.bits), 0,
                for: "set the policy of the memory at \(place)",
                losing: "\(who) at \(place) has not its policy (\(placed.policy.description))")
        }
    }

    /// Gives memory that tasks inherit a policy before its pages are there, which stay on the node that they come to. Where
    /// the task that reads them has none for it, or is none of the tree, that of another counts.
    ///
    /// - Returns: what has one, until the pages are there.
    mutating func composeInheritedPolicies(
        _ ranges: [Range<UInt64>], of index: Int, in batch: inout Batch
    ) -> [Range<UInt64>] {
        var given: [Range<UInt64>] = []
        if policiesByTask == nil { policiesByTask = images.tasks.map(policies) }
        guard let policiesByTask, policiesByTask.contains(where: { !$0.isEmpty }) else { return [] }
        let order = [index] + policiesByTask.indices.filter { $0 != index }
        for range in ranges {
            for one in order where policiesByTask.indices.contains(one) {
                let here = policiesByTask[one].filter { $0.range.overlaps(range) }
                if here.isEmpty { continue }
                for placed in here {
                    let part = placed.range.clamped(to: range)
                    guard let policy = placed.policy.reduced(to: host.memoryNodes) else { continue }
                    let mask = batch.buffer(policy.mask)
                    given.append(part)
                    batch.call(
                        Int(SYS_mbind), .value(part.lowerBound), .value(UInt64(part.count)),
                        .value(UInt64(policy.mode)),
                        .address(mask), .int(Self.bits), 0, expecting: Batch.anything,
                        for:
                            "set the policy of the memory at \(String(part.lowerBound, radix: 16)) for all who inherit it"
                    )
                }
                break
            }
        }
        return given
    }

    /// Takes the policies again, without moving pages: each task has those of its own.
    func dropPolicies(_ ranges: [Range<UInt64>], in batch: inout Batch) {
        for range in ranges {
            batch.call(
                Int(SYS_mbind), .value(range.lowerBound), .value(UInt64(range.count)), 0, 0, 0, 0,
                expecting: Batch.anything,
                for: "drop the policy of the memory at \(String(range.lowerBound, radix: 16))")
        }
    }

    private func policies(of task: TaskImages) -> [MemoryTraits.Placed] {
        guard let json = images.supplement[.memory, task.pid], json["policies"] != nil else { return [] }
        return MemoryTraits(json)?.policies ?? []
    }

    private mutating func reduced(_ wanted: MemoryPolicy, of whose: String) -> MemoryPolicy? {
        let policy = wanted.reduced(to: host.memoryNodes)
        if wanted.isWhole(on: host.memoryNodes) { return policy }
        let there = wanted.nodes.filter(host.memoryNodes.contains).map(String.init).joined(separator: ",")
        note(
            "\(whose) was on nodes of the host by a policy (\(wanted.description)), "
                + (policy == nil
                    ? "none of which this host has" : "and is on those of them that this host has, \(there)"))
        return policy
    }
}
