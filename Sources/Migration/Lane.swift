internal import Diagnostics
internal import Linux
internal import Synchronization
internal import SystemPackage
internal import Tracing

/// One of several ways over which pages go at the same time: a connection, and a thread that compresses what goes over it.
final class Lane: Sendable {
    private struct State {
        /// In their order.
        var waiting: [PageBatch] = []
        /// Of batches that have been sent.
        var buffers: [[UInt8]] = []
        var failure: Problem?
        var isOver = false
        var tally = Parcels.Tally()
        /// Bytes of pages of zeros, and bytes on the wire.
        var (zeros, carried): (UInt64, UInt64) = (0, 0)
    }

    private final class ThreadBox: Sendable {
        private struct Held: ~Copyable { var thread: HelperThread? }
        private let held = Mutex(Held())
        func start(_ work: @escaping @Sendable () -> Void) -> Bool {
            held.withLock { held in
                let made = HelperThread(work)
                let isThere = made != nil
                held.thread = consume made
                return isThere
            }
        }
        func join() { held.withLock { $0.thread.take()?.join() } }
    }

    /// How many batches wait or are being sent.
    private static let depth = 3
    /// For how long nothing is heard of signals, in nanoseconds.
    private static let patience: UInt64 = 200_000_000

    let wire: Wire
    private let state = Mutex(State())
    private let held = Atomic<UInt64>(0)
    private let filled = Semaphore()
    private let room = Semaphore(UInt32(depth))
    private let thread = ThreadBox()

    /// - Throws: `no-memory` where there is no thread to be had.
    init(_ wire: Wire, _ compression: SendCompression) throws(Problem) {
        self.wire = wire
        let started = thread.start { [self] in work(compression) }
        guard started else {
            throw Problem(
                .noMemory, "there is no thread for another connection",
                cause: .init(.resourceTemporarilyUnavailable, attempted: "pthread_create"),
                remedy: "Migrate with fewer --channels")
        }
    }

    /// Hands a batch over, when there is room for it.
    ///
    /// - Throws: why an earlier one could not be sent.
    func send(_ batch: consuming PageBatch) throws(Problem) {
        try waitForRoom()
        let taken = batch
        state.withLock { $0.waiting.append(taken) }
        filled.signal()
    }

    /// A buffer for the next batch; empty where there is none.
    func buffer() -> [UInt8] { state.withLock { $0.buffers.popLast() ?? [] } }

    /// The link is to be left alone for so long, in nanoseconds.
    func hold(_ time: UInt64) { held.add(time, ordering: .relaxed) }

    /// Waits until all has been sent.
    ///
    /// - Throws: why it could not be.
    func drain() throws(Problem) {
        for taken in 0..<Self.depth {
            do throws(Problem) { try waitForRoom() } catch {
                for _ in 0..<taken { room.signal() }
                throw error
            }
        }
        for _ in 0..<Self.depth { room.signal() }
    }

    private func waitForRoom() throws(Problem) {
        while !room.wait(nanoseconds: Self.patience) { try Cancellation.check() }
        guard let failure = state.withLock({ $0.failure }) else { return }
        room.signal()
        throw failure
    }

    /// What has been sent.
    var sent: (tally: Parcels.Tally, zeros: UInt64, carried: UInt64) {
        state.withLock { ($0.tally, $0.zeros, $0.carried) }
    }

    /// Ends the thread. What waits is not sent.
    func end() {
        state.withLock { $0.isOver = true }
        filled.signal()
        thread.join()
    }

    private func work(_ compression: SendCompression) {
        let parcels = Parcels(wire, compression)
        while true {
            filled.wait()
            guard var batch = take() else { return }
            do throws(Problem) {
                parcels.hold(held.exchange(0, ordering: .relaxed))
                let size = try parcels.send(&batch)
                let (zeros, tally) = (batch.zeros, parcels.tally)
                state.withLock {
                    $0.carried += UInt64(size)
                    $0.zeros += zeros
                    $0.tally = tally
                }
            } catch {
                state.withLock { $0.failure = $0.failure ?? error }
            }
            let buffer = batch.takeBuffer()
            state.withLock { $0.buffers.append(buffer) }
            room.signal()
        }
    }

    private func take() -> PageBatch? {
        state.withLock { $0.isOver || $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
    }
}
