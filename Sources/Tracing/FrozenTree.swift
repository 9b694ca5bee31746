/// A process of a frozen tree.
public final class FrozenProcess {
    public let pid: Int32
    /// The parent within the tree; for the root the parent outside.
    public internal(set) var parent: Int32
    /// The live threads, the leader first if it lives. Empty for a zombie.
    public internal(set) var threads: [Tracee] = []
    /// The thread through which what the threads share can be seen: the first, or another where that has ended.
    public var eye: Int32 { threads.first?.tid ?? pid }
    /// The process has exited and waits for its parent to notice (`state` Z in /proc/PID/stat).
    public internal(set) var isZombie = false

    init(pid: Int32, parent: Int32) {
        self.pid = pid
        self.parent = parent
    }

    /// The signal that had stopped the whole process before the freeze, or nil.
    public var groupStop: Int32? { threads.first?.groupStop }
}

@available(*, unavailable)
extension FrozenProcess: Sendable {}

/// A tree of processes of which every thread is stopped.
///
/// The tree goes on as if nothing had happened when `thaw` is called, when the value goes away, or when Apus dies:
/// a tracee whose tracer is gone runs on.
public final class FrozenTree {
    /// The root first, parents before their children.
    public internal(set) var processes: [FrozenProcess] = []
    private var isThawed = false

    init() {}

    deinit { thaw() }

    public var root: FrozenProcess { processes[0] }

    /// Lets every thread go on.
    public func thaw() {
        guard !isThawed else { return }
        isThawed = true
        // A thread that cannot be let go of has died, or will be let go of when Apus exits.
        for process in processes { for thread in process.threads { try? thread.release() } }
    }
}

@available(*, unavailable)
extension FrozenTree: Sendable {}
