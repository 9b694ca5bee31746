internal import Images
internal import Tracing

/// Which processes of a frozen tree have one memory, without being threads of one another (clone(2) with CLONE_VM).
///
/// Each of them tells and is told for itself; but the memory is stored once, by the first of them, and has one twin.
struct CommonMemory {
    private var members: [UInt32: [FrozenProcess]] = [:]
    private var memories: [Int32: UInt32] = [:]

    /// - Parameter ids: of the processes of the tree, in their order; nil for those that have ended.
    init(_ tree: FrozenTree, _ ids: [TaskKobjIdsEntry?]) {
        for (process, ids) in zip(tree.processes, ids) {
            guard let ids else { continue }
            members[ids.vmID, default: []].append(process)
            memories[process.pid] = ids.vmID
        }
    }

    private func group(of pid: Int32) -> [FrozenProcess] { memories[pid].flatMap { members[$0] } ?? [] }

    /// Whose memory a process has: its own, or that of another that comes before it.
    func owner(of pid: Int32) -> Int32 { group(of: pid).first?.pid ?? pid }

    /// The others with the memory of a process.
    func others(_ pid: Int32) -> [FrozenProcess] { group(of: pid).filter { $0.pid != pid } }
}
