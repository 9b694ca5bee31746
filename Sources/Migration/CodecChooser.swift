public import Bundles

/// How what is sent is compressed.
public enum SendCompression: Sendable, Equatable {
    /// As it is there soonest, measured all the while (``CodecChooser``).
    case auto
    case fixed(Compression)

    /// `auto`, `none`, `lz4`, `zstd` or `zstd:LEVEL`; nil for any other.
    public init?(_ text: String) {
        if text == "auto" {
            self = .auto
        } else if let compression = Compression(text) {
            self = .fixed(compression)
        } else {
            return nil
        }
    }
}

/// Chooses how what is sent is compressed, so that it is there soonest: from what the link carries, and from what each way takes
/// and yields on samples of these very bytes.
///
/// To compress and to carry go on at the same time, as a pipe lies between Apus and the network: the slower of the two is what
/// counts. What the link carries is what went into it between two moments at which it took no more; while it takes
/// everything at once it is faster than what it was given, and nothing is to be gained.
///
/// A link may be slow because whoever is at its other end is: then fewer bytes do not get there sooner. So each change is
/// held against what was reached before it, and taken back where that was more.
struct CodecChooser {
    /// What a way does with these bytes.
    struct Sample: Equatable {
        /// Nanoseconds for each byte that goes in.
        var cost: Double
        /// Bytes that come out, for each that goes in.
        var yield: Double
    }

    /// What has been sent between two moments, and what became of the time.
    private struct Window {
        let start, waited: UInt64
        var content: UInt64 = 0
        var carried: UInt64 = 0
        var packing: UInt64 = 0
    }

    /// A change that has yet to prove itself.
    private struct Trial {
        let before: Int
        /// Bytes of content for each nanosecond, before.
        let rate: Double
        /// What was sent since, without the first window, which has what was under way.
        var content = 0.0
        var time = 0.0
        var hasBegun = false
    }

    /// From the one that takes least to the one that yields most.
    static let ways: [Compression] = [.none, .lz4, .zstd(level: 1), .zstd(level: 3), .zstd(level: 9)]
    /// Links that carry more, in bytes for each nanosecond, are not served by the way: it takes longer than they do.
    private static let fastest: [Double] = [.infinity, 1.5, 0.5, 0.2, 0.03]

    /// In nanoseconds: the shortest window, and the longest in which the link was never full.
    private static let (shortest, longest): (UInt64, UInt64) = (50_000_000, 250_000_000)
    /// Another way has to take so much less time, by what is foreseen; and to bring so much more, by what came of it in so many
    /// nanoseconds.
    private static let (worthwhile, good, proof) = (0.8, 1.08, 150_000_000.0)
    private static let bad = 0.95
    private static let same = 1.05
    /// Samples are taken again after that time, in nanoseconds, and may take that share of all time.
    private static let (age, share): (UInt64, Double) = (1_000_000_000, 0.02)
    /// And that much at first, in nanoseconds.
    private static let advance: Double = 3_000_000
    /// For how long a way is left alone that has not proved itself, the first time.
    private static let ban: UInt64 = 4_000_000_000
    /// And one that has, and brings less now than what it has taken the place of.
    private static let pause: UInt64 = 1_000_000_000

    private var chosen = 0
    private var samples: [Int: Sample] = [0: Sample(cost: 0, yield: 1)]
    /// Bytes for each nanosecond; nil: it was never full.
    private(set) var link: Double?
    private var window: Window?
    private var trial: Trial?
    /// Bytes of content for each nanosecond, in the last windows of this way.
    private var usual: Double?
    /// What was left for the current way, and what it brought.
    private var baseline: (way: Int, rate: Double)?
    private var bans: [Int: (until: UInt64, length: UInt64)] = [:]
    private var (began, sampled, spent): (UInt64?, UInt64, UInt64) = (nil, 0, 0)

    /// The way to take now.
    var current: Compression { Self.ways[chosen] }

    // MARK: Samples

    /// What is to be tried on the next bytes.
    ///
    /// - Parameter now: in nanoseconds, as all times.
    func wanted(at now: UInt64) -> [Compression] {
        guard let link, let began, sampled == 0 || now >= sampled + Self.age,
            Double(spent) <= Self.share * Double(now - began) + Self.advance
        else { return [] }
        return Self.ways.indices.dropFirst().filter { $0 != chosen && link < Self.fastest[$0] }.map { Self.ways[$0] }
    }

    /// - Parameters:
    ///   - size: how many bytes went in.
    ///   - result: how many came out.
    mutating func add(_ way: Compression, _ size: Int, _ result: Int, time: UInt64, at now: UInt64) {
        guard let index = Self.ways.firstIndex(of: way), size > 0 else { return }
        samples[index] = Sample(cost: Double(time) / Double(size), yield: Double(min(result, size)) / Double(size))
        (sampled, spent) = (now, spent + time)
    }

    // MARK: What was sent

    /// Notes what has been sent.
    ///
    /// - Parameters:
    ///   - content: bytes before they were compressed.
    ///   - carried: bytes after that.
    ///   - packing: how long that took.
    ///   - waited: for how long the link took nothing, since the beginning.
    mutating func sent(content: Int, carried: Int, packing: UInt64, waited: UInt64, at now: UInt64) {
        if began == nil { began = now }
        guard var current = window else {
            window = Window(start: now, waited: waited)
            lastWaited = waited
            return
        }
        let isFull = waited > lastWaited
        lastWaited = waited
        // From the first moment on at which it is full.
        if isFull, link == nil, !wasFull {
            wasFull = true
            window = Window(start: now, waited: waited)
            return
        }
        current.content += UInt64(content)
        current.carried += UInt64(carried)
        current.packing += packing
        window = current
        let time = now - current.start
        guard isFull ? time >= Self.shortest : time >= Self.longest else { return }
        window = Window(start: now, waited: waited)
        judge(current, Double(max(time, 1)), blocked: Double(waited - current.waited), isFull, at: now)
    }

    private var (lastWaited, wasFull): (UInt64, Bool) = (0, false)

    private mutating func judge(
        _ window: Window, _ time: Double, blocked: Double, _ isFull: Bool, at now: UInt64
    ) {
        guard window.content > 0 else { return }
        let (content, carried) = (Double(window.content), Double(window.carried))
        let rate = content / time
        if isFull {
            link = carried / time
        } else if let known = link {
            // It carries that much at least, and perhaps more: sooner or later that is found out.
            link = max(1.25 * known, carried / time)
        }
        if chosen != 0 {
            samples[chosen] = Sample(cost: Double(window.packing) / content, yield: min(carried / content, 1))
        }
        if trial != nil {
            judgeTrial(content, time, at: now)
            return
        }
        let recent = usual.map { ($0 + rate) / 2 } ?? rate
        usual = recent
        if let baseline, recent < baseline.rate {
            // It proved itself by chance, or the link has changed: that is found out from where it came from.
            for way in chosen..<Self.ways.count { bans[way] = (now + Self.pause, Self.pause) }
            (chosen, usual) = (baseline.way, nil)
            self.baseline = nil
            return
        }
        choose(other: max(time - blocked - Double(window.packing), 0) / content, at: now)
    }

    private mutating func judgeTrial(_ content: Double, _ time: Double, at now: UInt64) {
        guard var trial else { return }
        if trial.hasBegun {
            trial.content += content
            trial.time += time
        }
        trial.hasBegun = true
        self.trial = trial
        guard trial.time > 0 else { return }
        let rate = trial.content / trial.time
        // What is worse already need not be waited for.
        guard trial.time >= Self.proof || rate < Self.bad * trial.rate else { return }
        self.trial = nil
        if rate < Self.good * trial.rate {
            let length = bans[chosen].map { 2 * $0.length } ?? Self.ban
            // Where it is not the bytes that take the time, ways that take more of the processor do not help either.
            for way in chosen..<Self.ways.count { bans[way] = (now + length, length) }
            chosen = trial.before
            usual = trial.rate
        } else {
            usual = rate
            baseline = (trial.before, trial.rate)
        }
    }

    /// - Parameter other: what a byte takes besides being compressed and being waited for, in nanoseconds.
    private mutating func choose(other: Double, at now: UInt64) {
        guard let link, link > 0, let usual else { return }
        func time(_ index: Int) -> Double? {
            guard let sample = samples[index], link < Self.fastest[index] || index == chosen else { return nil }
            if let ban = bans[index], now < ban.until { return nil }
            return max(other + sample.cost, sample.yield / link)
        }
        guard let own = time(chosen) else { return }
        let times = Self.ways.indices.map { time($0) ?? .infinity }
        let least = times.min() ?? own
        // Of those that come to the same, the one that takes least of the processor.
        guard least < Self.worthwhile * own, let best = times.firstIndex(where: { $0 <= Self.same * least }) else {
            return
        }
        trial = Trial(before: chosen, rate: usual)
        chosen = best
    }
}
