internal import Diagnostics
internal import Linux
internal import Logging
internal import Synchronization
internal import Tracing

/// Makes a tree that writes faster than the network carries stand still for a share of the time (`--throttle`).
///
/// In each slice of time a thread of its own stops the tree as a dump does, by ptrace, and lets it go again: no parent hears of
/// it, and no call ends early for it. When Apus dies, however it does, the kernel lets the tree go. (A control group with
/// `cpu.max` would slow it as well, but seldom holds the tree and nothing else, and would stay slow when Apus is killed.)
final class Slowdown {
    /// What part of a slice it stands still, one after another: never more than the last.
    static let shares = [0.3, 0.5, 0.7, 0.85, 0.95]
    /// In nanoseconds.
    private static let slice: UInt64 = 100_000_000
    /// A tree that cannot be stopped in that time is too large for slices of that length: it runs on.
    private static let mostForFreezing: UInt64 = 60_000_000

    /// What the thread goes by and tells.
    private final class Shared: Sendable {
        let isOver = Semaphore()
        /// In thousandths.
        let share = Atomic<UInt64>(0)
        let stood = Atomic<UInt64>(0)
        let failure = Mutex<Problem?>(nil)
    }

    private final class ThreadBox {
        var thread: HelperThread?
        let isThere: Bool

        init(_ thread: consuming HelperThread?) {
            isThere = thread != nil
            self.thread = thread
        }
    }

    private let root: Int32
    private let logger: Logger
    private let shared = Shared()
    private var thread: ThreadBox?
    private var step: Int?
    private var isOver = false

    /// Nothing happens until it is raised.
    init(of root: Int32, _ logger: Logger) { (self.root, self.logger) = (root, logger) }

    deinit { end() }

    /// For how long the tree has stood still because of it, in nanoseconds.
    var stood: UInt64 { shared.stood.load(ordering: .relaxed) }
    /// The largest share of the time for which it was to stand still.
    var share: Double { step.map { Self.shares[$0] } ?? 0 }

    /// Slows the tree, or slows it more.
    ///
    /// - Returns: false where it cannot be slowed, or not more than it is.
    func raise() -> Bool {
        if let failure = shared.failure.withLock({ $0.take() }) {
            logger.info("the tree could not be slowed for a while: \(failure.summary)")
        }
        let next = (step ?? -1) + 1
        guard !isOver, Self.shares.indices.contains(next) else { return false }
        shared.share.store(UInt64(Self.shares[next] * 1000), ordering: .relaxed)
        if thread == nil {
            let (root, shared) = (root, shared)
            let box = ThreadBox(HelperThread { Self.work(root, shared) })
            guard box.isThere else { return false }
            thread = box
        }
        step = next
        return true
    }

    /// Lets the tree run at its own speed again. It runs when this returns, and stays so.
    func end() {
        if isOver { return }
        isOver = true
        shared.isOver.signal()
        if let running = thread?.thread.take() { running.join() }
        thread = nil
    }

    /// Whoever traces a thread has to let it go, too: all of it happens here.
    private static func work(_ root: Int32, _ shared: Shared) {
        var rest: UInt64 = 1
        while !shared.isOver.wait(nanoseconds: rest) {
            let share = Double(shared.share.load(ordering: .relaxed)) / 1000
            let start = SystemClock.monotonic.now
            var isLast = false
            do throws(Problem) {
                let tree = try TreeFreezer.freeze(root: root, deadline: Deadline(nanoseconds: mostForFreezing))
                let (until, now) = (start + UInt64(share * Double(slice)), SystemClock.monotonic.now)
                if until > now { isLast = shared.isOver.wait(nanoseconds: until - now) }
                tree.thaw()
            } catch {
                // It runs on. What cannot be stopped now may be later.
                shared.failure.withLock { $0 = error }
            }
            let stood = SystemClock.monotonic.now - start
            shared.stood.add(stood, ordering: .relaxed)
            if isLast { return }
            rest = pause(after: stood, share: share)
        }
    }

    /// For how long the tree runs after a standstill: until the end of the slice, and longer where it took longer than it was to.
    static func pause(after stood: UInt64, share: Double) -> UInt64 {
        max(slice - min(stood, slice), UInt64(Double(stood) * (1 - share) / share))
    }
}

@available(*, unavailable)
extension Slowdown: Sendable {}
