internal import Diagnostics
internal import Linux

/// Says each second that this side is at work.
final class Pulse {
    private let isOver = Semaphore()
    private var thread: HelperThreadBox?

    private final class HelperThreadBox {
        var thread: HelperThread?
        init(_ thread: consuming HelperThread?) { self.thread = thread }
    }

    init(_ wire: Wire) {
        let isOver = isOver
        thread = HelperThreadBox(
            HelperThread {
                while !isOver.wait(nanoseconds: 1_000_000_000) {
                    // Who has gone is noticed by whoever waits for a word.
                    try? wire.send(.alive)
                }
            })
    }

    /// Ends it.
    func end() {
        isOver.signal()
        if let running = thread?.thread.take() { running.join() }
        thread = nil
    }
}
