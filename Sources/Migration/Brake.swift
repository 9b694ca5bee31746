/// Holds what is sent to a rate.
struct Brake {
    /// In bytes for each second.
    private let rate: UInt64
    private let start: UInt64
    private var sent: UInt64 = 0

    /// - Parameter start: a time, in nanoseconds.
    init(rate: UInt64, start: UInt64) {
        self.rate = rate
        self.start = start
    }

    /// Notes what has been sent.
    ///
    /// - Parameter now: the time, in nanoseconds.
    /// - Returns: how long to wait before the next, in nanoseconds; never more than a second at a time.
    mutating func take(_ size: UInt64, at now: UInt64) -> UInt64 {
        sent += size
        let due = Double(sent) / Double(rate) * 1e9
        let passed = Double(now - start)
        return due > passed ? UInt64(min(due - passed, 1e9)) : 0
    }
}
