internal import Synchronization

/// Work that a thread of its own does meanwhile, for a result that is asked for later.
///
/// Where no thread is to be had, it is done at once.
public final class Errand<Result: Sendable> {
    private final class Place: Sendable {
        let result = Mutex<Result?>(nil)
    }

    private let place = Place()
    private let work: @Sendable () -> Result
    private var thread: HelperThread?

    /// Begins.
    public init(_ work: @escaping @Sendable () -> Result) {
        self.work = work
        let place = self.place
        thread = HelperThread { place.result.withLock { $0 = work() } }
    }

    /// Waits for the result, the first time.
    public var result: Result {
        thread.take()?.join()
        return place.result.withLock { known in
            let result = known ?? work()
            known = result
            return result
        }
    }

    deinit { thread.take()?.join() }
}

@available(*, unavailable)
extension Errand: Sendable {}
