internal import Linux
internal import Logging

/// Measures the phases of a dump.
struct PhaseClock {
    private var last = SystemClock.monotonic.now
    private var frozenAt: UInt64?

    /// Ends a phase.
    ///
    /// - Returns: how long it took, in microseconds.
    @discardableResult
    mutating func mark(_ phase: String, _ logger: Logger) -> UInt32 {
        let now = SystemClock.monotonic.now
        defer { last = now }
        let spent = UInt32(clamping: (now - last) / 1000)
        logger.debug("phase \(phase): \(spent) us")
        return spent
    }

    /// Remembers when the tree came to a standstill, in nanoseconds of the monotonic clock.
    mutating func stoodStill(since: UInt64) { frozenAt = since }

    /// Microseconds since the end of the freeze.
    func sinceFreeze() -> UInt32 {
        guard let frozenAt else { return 0 }
        return UInt32(clamping: (SystemClock.monotonic.now - frozenAt) / 1000)
    }
}
