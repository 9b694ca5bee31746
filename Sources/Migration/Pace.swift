/// Decides when to stop sending memory of a running tree.
struct Pace {
    /// For how long the tree may stand still, in nanoseconds.
    private let limit: UInt64
    /// What it takes besides memory.
    private let fixed: UInt64
    private var sizes: [UInt64] = []
    private var times: [UInt64] = []

    /// Below that many bytes another round would change nothing.
    private static let small: UInt64 = 1 << 20

    init(limit: UInt64, fixed: UInt64) {
        self.limit = limit
        self.fixed = fixed
    }

    mutating func add(size: UInt64, time: UInt64) {
        sizes.append(size)
        times.append(max(time, 1))
    }

    /// In bytes for each second, of the largest round: in small ones the time goes with other things.
    private var rate: Double {
        guard let index = sizes.indices.max(by: { sizes[$0] < sizes[$1] }), sizes[index] > 0 else { return 1e9 }
        return Double(sizes[index]) / Double(times[index]) * 1e9
    }

    /// How long the tree would stand still if it were stopped now, in nanoseconds.
    var predictedPause: UInt64 {
        guard let last = sizes.last, let time = times.last else { return 0 }
        // What was written while a round was sent is sent by the next one.
        let dirtyRate = times.count > 1 ? Double(last) / Double(times[times.count - 2]) : Double(last) / Double(time)
        let expected = dirtyRate * Double(time)
        return fixed + UInt64(expected / rate * 1e9)
    }

    /// Whether the tree writes faster than can be sent: the pause would be too long, and does not become shorter any more.
    var isDiverging: Bool {
        guard let last = sizes.last, sizes.count > 1, last >= Self.small else { return false }
        return predictedPause > limit && Double(last) >= 0.8 * Double(sizes[sizes.count - 2])
    }

    /// Whether nothing is to be gained by another round.
    var isGoodEnough: Bool {
        guard let last = sizes.last else { return false }
        if last < Self.small { return true }
        guard sizes.count > 1 else { return false }
        let isFalling = Double(last) < 0.8 * Double(sizes[sizes.count - 2])
        if predictedPause <= limit { return !isFalling || sizes.count > 4 }
        // A tree that writes as fast as the network carries will not become any better.
        return sizes.count > 3 && !isFalling
    }
}
