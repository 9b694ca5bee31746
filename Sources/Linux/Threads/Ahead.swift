internal import Synchronization

/// Results that a thread of its own finds out one after the other, ahead of whoever asks for them in about that order.
///
/// What the thread has not come to is found out by the one who asks: nobody waits for what nobody is at, and where no thread
/// is to be had nothing changes but the time that it takes.
public final class Ahead<Result: Sendable> {
    private enum Place: Sendable {
        case open, taken, given
        case done(Result)
    }

    private final class State: Sendable {
        let places: Mutex<[Place]>
        /// Signalled for each that the thread has found out.
        let isDone = Semaphore()
        let body: @Sendable (Int) -> Result

        init(_ count: Int, _ body: @escaping @Sendable (Int) -> Result) {
            places = Mutex(Array(repeating: .open, count: count))
            self.body = body
        }

        /// Takes a place that nobody has taken.
        func take(_ number: Int) -> Bool {
            places.withLock { places in
                guard case .open = places[number] else { return false }
                places[number] = .taken
                return true
            }
        }

        func run() {
            for number in places.withLock({ $0.indices }) where take(number) {
                let result = body(number)
                places.withLock { $0[number] = .done(result) }
                isDone.signal()
            }
        }

        /// Leaves the thread nothing more to do.
        func close() {
            places.withLock { places in
                for number in places.indices { if case .open = places[number] { places[number] = .taken } }
            }
        }
    }

    private let state: State
    private var thread: HelperThread?

    /// Begins.
    ///
    /// - Parameters:
    ///   - count: of results, from number 0 on.
    ///   - least: below so many a thread costs more than it brings.
    ///   - body: called by one of both threads, for each number once.
    public init(_ count: Int, worthwhile least: Int = Workers.worthwhile, _ body: @escaping @Sendable (Int) -> Result) {
        let state = State(count, body)
        self.state = state
        if count >= least && Workers.count > 1 { thread = HelperThread { state.run() } }
    }

    /// The result for a number, which is to be asked for once.
    public func take(_ number: Int) -> Result {
        while true {
            let place = state.places.withLock { places in
                let place = places[number]
                switch place {
                case .open, .done: places[number] = .given
                case .taken: break
                case .given: preconditionFailure("\(number) was asked for twice")
                }
                return place
            }
            switch place {
            case .open: return state.body(number)
            case .done(let result): return result
            case .taken, .given: state.isDone.wait()
            }
        }
    }

    deinit {
        state.close()
        thread.take()?.join()
    }
}

@available(*, unavailable)
extension Ahead: Sendable {}
