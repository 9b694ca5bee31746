public import Linux
public import SystemPackage

/// Numbers for a resource that tasks may share: the same number for the same resource.
///
/// The kernel gives an order (kcmp(2)), so that each newcomer is found among those known in a few comparisons.
public struct SharingIDs {
    private let resource: Processes.Resource
    private var sorted: [(pid: Int32, id: UInt32)] = []
    private var next: UInt32

    /// - Parameter first: the number of the first resource.
    public init(_ resource: Processes.Resource, first: UInt32) {
        self.resource = resource
        next = first
    }

    /// The number of a task's resource, and whether a task asked about before has the same.
    public mutating func id(of pid: Int32) throws(Errno) -> (id: UInt32, isShared: Bool) {
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            switch try Processes.compare(pid, sorted[middle].pid, resource) {
            case .same: return (sorted[middle].id, true)
            case .less: high = middle
            case .greater: low = middle + 1
            case .different: return try unordered(pid)
            }
        }
        defer { next += 1 }
        sorted.insert((pid, next), at: low)
        return (next, false)
    }

    /// For a kernel that tells no order.
    private mutating func unordered(_ pid: Int32) throws(Errno) -> (id: UInt32, isShared: Bool) {
        for known in sorted where try Processes.compare(pid, known.pid, resource) == .same { return (known.id, true) }
        defer { next += 1 }
        sorted.append((pid, next))
        return (next, false)
    }
}
