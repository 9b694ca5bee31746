internal import Synchronization

/// Work that falls into parts which have nothing to do with each other, done by as many threads as there are
/// processors for Apus.
public enum Workers {
    /// More than that would wait for one another in the kernel.
    private static let limit = 8
    /// Below that many parts a thread costs more than it brings.
    public static let worthwhile = 8

    /// How many threads work at a time.
    public static let count: Int = {
        let mask = (try? Processes.affinity(of: 0)) ?? []
        return max(1, min(limit, mask.reduce(0) { $0 + $1.nonzeroBitCount }))
    }()

    /// Set in a copy of a process (fork(2)), which has to do everything alone.
    ///
    /// Swift's locks name their holder to the kernel by its thread id (FUTEX_LOCK_PI, futex(2)), which each thread looks up once:
    /// in a copy the first thread goes on with that of the original, and whoever waits for it there waits for ever.
    private static let isCopy = Atomic(false)

    /// To be called in a copy of a process, before anything else.
    static func workAlone() { isCopy.store(true, ordering: .relaxed) }

    /// What the body says of each number from 0 to below `count`, in their order. The calling thread takes part.
    ///
    /// - Parameters:
    ///   - least: how many parts are worth a thread.
    ///   - body: called by any thread, for each number once.
    public static func map<Part: Sendable>(
        _ count: Int, worthwhile least: Int = worthwhile, _ body: @Sendable (Int) -> Part
    ) -> [Part] {
        let helpers = count < least || isCopy.load(ordering: .relaxed) ? 0 : Workers.count - 1
        if helpers == 0 { return (0..<count).map(body) }
        let chunk = max(1, count / (Workers.count * 8))
        let next = Atomic(0)
        let done = Mutex<[(start: Int, parts: [Part])]>([])
        @Sendable func work(_ body: @Sendable (Int) -> Part) {
            while true {
                let start = next.add(chunk, ordering: .relaxed).oldValue
                if start >= count { return }
                let parts = (start..<min(start + chunk, count)).map(body)
                done.withLock { $0.append((start, parts)) }
            }
        }
        withoutActuallyEscaping(body) { body in
            run(helpers) { work(body) }
        }
        return done.withLock { $0.sorted { $0.start < $1.start }.flatMap(\.parts) }
    }

    /// Runs the work on so many helpers and here, and waits for all: nothing of it is left when this returns.
    private static func run(_ helpers: Int, _ work: @escaping @Sendable () -> Void) {
        guard helpers > 0, let helper = HelperThread(work) else { return work() }
        run(helpers - 1, work)
        helper.join()
    }
}
