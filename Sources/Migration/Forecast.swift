/// Foresees when a tree will run on the other host, from what has been sent and how fast.
///
/// A round sends what was written to during the one before. As long as nothing else is known, each is as much smaller than the one
/// before as the last two were.
final class Forecast {
    /// For how long the tree may stand still, and what that takes besides memory, in nanoseconds.
    private let limit, fixed: UInt64
    private let mostRounds: Int
    /// Of the rounds that are over, in bytes.
    private var sizes: [UInt64] = []
    /// Of the round that goes on: its size, what had been sent before it, and when it began.
    private var current: (size: UInt64, before: UInt64, start: UInt64)?
    /// In bytes for each nanosecond, of the largest round so far.
    private var known: (size: UInt64, rate: Double)?

    /// Below that much time and that many bytes nothing is said of a rate.
    private static let (shortest, small): (UInt64, UInt64) = (100_000_000, 1 << 20)

    init(limit: UInt64, fixed: UInt64, mostRounds: Int) {
        self.limit = limit
        self.fixed = fixed
        self.mostRounds = mostRounds
    }

    /// The number of the round that goes on, and its size.
    var round: (number: Int, size: UInt64) { (sizes.count + (current == nil ? 0 : 1), current?.size ?? 0) }

    /// How much of the round has been sent.
    func sent(_ carried: UInt64) -> UInt64 { carried - min(carried, current?.before ?? carried) }

    /// A round begins.
    ///
    /// - Parameters:
    ///   - carried: what has been sent before, of all rounds.
    ///   - now: in nanoseconds.
    func begin(size: UInt64, carried: UInt64, at now: UInt64) { current = (size, carried, now) }

    /// The round is over.
    func end(at now: UInt64) {
        guard let current else { return }
        sizes.append(current.size)
        if now > current.start, current.size > known?.size ?? 0 {
            known = (current.size, Double(current.size) / Double(now - current.start))
        }
        self.current = nil
    }

    /// How long it takes yet, in nanoseconds; nil where nothing is known.
    func left(carried: UInt64, at now: UInt64) -> UInt64? {
        let done = sent(carried)
        var rate = known?.rate
        if let current, now > current.start + Self.shortest, done >= Self.small, current.size >= known?.size ?? 0 {
            rate = Double(done) / Double(now - current.start)
        }
        guard let rate, rate > 0 else { return nil }
        var all = sizes
        var time = 0.0
        if let current {
            all.append(current.size)
            time = Double(current.size - min(current.size, done)) / rate
        }
        // Of the first round nobody knows how much of it is written to meanwhile.
        let share =
            all.count > 1 && all[all.count - 2] > 0 ? Double(all[all.count - 1]) / Double(all[all.count - 2]) : 0
        let isFalling = share < 0.8
        var (size, rounds) = (Double(all.last ?? 0), all.count)
        if !isFalling { return UInt64(time + size / rate) + fixed }
        while rounds < mostRounds, size >= Double(Self.small),
            rounds < 2 || size * share / rate + Double(fixed) > Double(limit)
        {
            size *= share
            time += size / rate
            rounds += 1
        }
        return UInt64(time + size * share / rate) + fixed
    }
}
