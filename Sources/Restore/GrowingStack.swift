internal import CLinux
internal import Glibc
internal import Images
internal import Tracing

/// A stack that the kernel lets grow when somebody writes below it (MAP_GROWSDOWN of mmap(2)). Where there is no room in it for the
/// signal frame by which a thread leaves, it grows, as it would for the frame of any signal.
struct GrowingStack {
    private let range: Range<UInt64>
    /// How far down it may grow.
    private let floor: UInt64

    /// What the kernel keeps free below a stack (`stack_guard_gap` of its parameters).
    private static let gap: UInt64 = 256 * 4096

    /// The stacks of a task.
    ///
    /// - Parameter area: where Apus' own things are.
    static func find(in task: TaskImages, beside area: Range<UInt64>) -> [GrowingStack] {
        let vmas = (task.memory?.vmas ?? []).sorted { $0.start < $1.start }
        let stackLimit = 3  // RLIMIT_STACK
        let limits = task.task.rlimits.rlimits
        let limit = limits.indices.contains(stackLimit) ? limits[stackLimit].cur : .max
        return vmas.indices.compactMap { index in
            let vma = vmas[index]
            guard vma.flags & UInt32(MAP_GROWSDOWN) != 0, vma.prot & UInt32(PROT_WRITE) != 0 else { return nil }
            let below = max(index > 0 ? vmas[index - 1].end : 0, area.lowerBound < vma.start ? area.upperBound : 0)
            let lowest = limit > vma.end ? 0 : vma.end - limit
            return GrowingStack(range: vma.start..<vma.end, floor: max(below + gap, lowest))
        }
    }

    /// Whether a range will be in it once it has grown.
    func takesIn(_ range: Range<UInt64>) -> Bool {
        range.lowerBound >= floor && range.lowerBound < self.range.lowerBound
            && range.upperBound <= self.range.upperBound
    }

    /// Has a thread of the task write to a place below the stack.
    static func grow(to address: RemoteAddress, in batch: inout Batch) {
        // The kernel writes the mask of blocked signals there, and changes none.
        batch.call(
            Int(SYS_rt_sigprocmask), .int(Int(SIG_BLOCK)), 0, .value(address.raw), 8,
            for: "let the stack grow, to make room for the way out")
    }
}
