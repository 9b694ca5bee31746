internal import CLinux

/// A clock of the kernel (clock_gettime(2)).
public struct SystemClock: Sendable, Equatable {
    /// CLOCK_*.
    public let id: Int32
    public init(id: Int32) { self.id = id }

    public static let realTime = SystemClock(id: 0)
    public static let monotonic = SystemClock(id: 1)
    public static let bootTime = SystemClock(id: 7)

    /// In nanoseconds.
    ///
    /// - Precondition: the clock exists. The three above always do.
    public var now: UInt64 {
        var time = apus_timespec()
        do {
            _ = try withAddress(of: &time) { outcome(of: Int(SYS_clock_gettime), UInt(signed: id), $0) }
        } catch {
            preconditionFailure("no clock \(id): \(error)")
        }
        return UInt64(time.seconds) * 1_000_000_000 + UInt64(time.nanoseconds)
    }
}
