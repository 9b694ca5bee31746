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
        if frozenAt == nil && phase == "freeze" { frozenAt = now }
        let spent = UInt32(clamping: (now - last) / 1000)
        logger.debug("phase \(phase): \(spent) us")
        return spent
    }

    /// Microseconds since the end of the freeze.
    func sinceFreeze() -> UInt32 {
        guard let frozenAt else { return 0 }
        return UInt32(clamping: (SystemClock.monotonic.now - frozenAt) / 1000)
    }
}
