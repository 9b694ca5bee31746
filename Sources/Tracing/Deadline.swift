internal import CLinux
internal import Diagnostics
internal import Glibc

/// The moment after which an operation is given up, on the monotonic clock.
public struct Deadline: Sendable {
    /// Nanoseconds of CLOCK_MONOTONIC, or nil for never.
    private let expiry: UInt64?
    /// The wish of the user to stop ends the operation, too.
    private let heedsCancellation: Bool

    public static let never = Deadline(expiry: nil)

    private init(expiry: UInt64?, heedsCancellation: Bool = true) {
        self.expiry = expiry
        self.heedsCancellation = heedsCancellation
    }

    /// So many seconds from now; 0 is never.
    public init(seconds: Int) {
        self.init(expiry: seconds <= 0 ? nil : Deadline.now() + UInt64(seconds) * 1_000_000_000)
    }

    /// So many nanoseconds from now, whatever the user wishes: for putting things back.
    public init(nanoseconds: UInt64) {
        self.init(expiry: Deadline.now() + nanoseconds, heedsCancellation: false)
    }

    public var isPast: Bool { expiry.map { Deadline.now() >= $0 } ?? false }

    /// The time is up, or the user wants an end.
    public var isOver: Bool { isPast || (heedsCancellation && Cancellation.requested) }

    /// Nanoseconds left, never negative, at most `limit`.
    public func remaining(atMost limit: UInt64) -> UInt64 {
        guard let expiry else { return limit }
        let now = Deadline.now()
        return now >= expiry ? 0 : min(limit, expiry - now)
    }

    /// CLOCK_MONOTONIC in nanoseconds.
    public static func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
