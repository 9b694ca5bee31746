internal import Linux
internal import Objects

/// What the processes of a tree have in common without being threads of one another, asked of the kernel once for each
/// look at the tree (kcmp(2)).
struct TreeSharing: Sendable {
    /// A kind of thing that clone(2) lets processes share.
    struct Kind: Sendable {
        let what: String
        let resource: Processes.Resource
    }

    static let kinds = [
        Kind(what: "memory", resource: .memory), Kind(what: "descriptors", resource: .descriptors),
        Kind(what: "working directory", resource: .fileSystemContext),
        Kind(what: "signal handlers", resource: .signalHandlers),
    ]

    /// By kind.
    let tables: [SharingIDs]

    /// - Parameter before: an earlier look at the same tree.
    init(_ processes: [SurveyedProcess], before: TreeSharing?) {
        let pids = processes.map { $0.isZombie ? nil : $0.eye }
        // Four questions that have nothing to do with each other.
        tables = Workers.map(Self.kinds.count, worthwhile: processes.count < 64 ? .max : 2) {
            SharingIDs(Self.kinds[$0].resource, of: pids, order: before?.tables[$0].order ?? [])
        }
    }

    /// The numbers of a kind of thing, by process; nil for those that have ended.
    func numbers(_ resource: Processes.Resource) -> [UInt32?] {
        guard let index = Self.kinds.firstIndex(where: { $0.resource == resource }) else { return [] }
        return tables[index].numbers
    }
}
