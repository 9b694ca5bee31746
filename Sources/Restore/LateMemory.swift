public import Diagnostics

/// Pages of a tree that follow when it runs already: what brings them, seen from the restore.
///
/// The restore leaves them out. Each task that has some makes a userfaultfd(2) and sends it over a socket; before the tree is released
/// the memory is watched, and from then on whoever touches a page that has not come waits for it.
public protocol LateMemory: Sendable {
    /// What follows, by the process that it is of, sorted by address, without overlap.
    var runs: [Int32: [Range<UInt64>]] { get }

    /// A socket of sequenced packets, whose other end takes the descriptors: it must be one that the tasks can be given a copy of.
    var socket: Int32 { get }

    /// Begins to watch. All tasks are there, nothing of them runs, and nothing of theirs changes any more until they are released.
    ///
    /// - Parameter mappings: by process, the mappings in which some of its pages follow.
    /// - Throws: why it cannot be: nothing has been released, and nothing is to be.
    func watch(_ mappings: [Int32: [Range<UInt64>]]) throws(Problem)
}

/// What the planner has to know of it.
struct LateTasks: Sendable {
    var runs: [Int32: [Range<UInt64>]]
    var socket: Int32

    init(_ memory: any LateMemory) { (runs, socket) = (memory.runs, memory.socket) }
}
