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
        let place = try place(of: pid)
        if place.isKnown { return (sorted[place.index].id, true) }
        defer { next += 1 }
        sorted.insert((pid, next), at: place.index)
        return (next, false)
    }

    /// The task asked about before that has the same resource as another one, which is not taken note of.
    public func holder(with pid: Int32) throws(Errno) -> Int32? {
        let place = try place(of: pid)
        return place.isKnown ? sorted[place.index].pid : nil
    }

    /// Where a task with the same resource stands, or would have to be inserted.
    private func place(of pid: Int32) throws(Errno) -> (index: Int, isKnown: Bool) {
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            switch try Processes.compare(pid, sorted[middle].pid, resource) {
            case .same: return (middle, true)
            case .less: high = middle
            case .greater: low = middle + 1
            case .different: return try unordered(pid)
            }
        }
        return (low, false)
    }

    /// For a kernel that tells no order.
    private func unordered(_ pid: Int32) throws(Errno) -> (index: Int, isKnown: Bool) {
        for (index, known) in sorted.enumerated() where try Processes.compare(pid, known.pid, resource) == .same {
            return (index, true)
        }
        return (sorted.count, false)
    }
}
