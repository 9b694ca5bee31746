public import Linux
public import SystemPackage

/// Numbers for a resource that tasks may share: the same number for the same resource.
///
/// The kernel gives an order (kcmp(2)), so that each newcomer is found among those known in a few comparisons.
public struct SharingIDs: Sendable {
    private let resource: Processes.Resource
    private var sorted: [(pid: Int32, id: UInt32)] = []
    private var next: UInt32

    /// - Parameter first: the number of the first resource.
    public init(_ resource: Processes.Resource, first: UInt32) {
        self.resource = resource
        next = first
    }

    /// The numbers of many tasks, given by the order in which the tasks come.
    ///
    /// - Parameters:
    ///   - pids: nil for what is to have no number.
    ///   - order: tasks whose resources are probably different and in this order, as `order` of an earlier look told. Where
    ///     that is still so one comparison for each is enough.
    public init(_ resource: Processes.Resource, of pids: [Int32?], order: [Int32]) {
        self.resource = resource
        next = 1
        let wanted = Set(pids.compactMap(\.self))
        // Each comes after the one before: so all are different, and sorted.
        for pid in order where wanted.contains(pid) {
            // The first is compared with itself: with one that has ended nothing could be compared.
            let expected: Processes.Order = sorted.isEmpty ? .same : .less
            guard (try? Processes.compare(sorted.last?.pid ?? pid, pid, resource)) == expected else { continue }
            sorted.append((pid, 0))
        }
        var holders = Dictionary(uniqueKeysWithValues: sorted.map { ($0.pid, $0.pid) })
        for case let pid? in pids where holders[pid] == nil {
            // One that has ended has no number.
            if sorted.isEmpty, (try? Processes.compare(pid, pid, resource)) != .same { continue }
            guard let place = try? place(of: pid) else { continue }
            if !place.isKnown { sorted.insert((pid, 0), at: place.index) }
            holders[pid] = sorted[place.index].pid
        }
        var byHolder: [Int32: UInt32] = [:]
        for pid in pids {
            guard let pid, let holder = holders[pid] else {
                numbers.append(nil)
                continue
            }
            if byHolder[holder] == nil {
                byHolder[holder] = next
                next += 1
            }
            numbers.append(byHolder[holder])
        }
        sorted = sorted.map { ($0.pid, byHolder[$0.pid] ?? 0) }
    }

    /// Of the tasks that were asked about at once, in their order; nil for one that has ended, or where the kernel does not
    /// tell (no CONFIG_KCMP).
    public private(set) var numbers: [UInt32?] = []

    /// A task for each resource, in the kernel's order.
    public var order: [Int32] { sorted.map(\.pid) }

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
