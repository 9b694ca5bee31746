/// Random numbers that are the same for the same seed: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
/// number generators).
struct Random: RandomNumberGenerator {
    private var state: UInt64

    /// The numbers of one input of a run.
    init(seed: UInt64, index: UInt64) {
        state = seed
        // So that neighbours have nothing in common.
        state = next() ^ (index &* 0xd134_2543_de82_ef95)
        _ = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, and 0 where that is 0.
    mutating func below(_ bound: Int) -> Int { bound < 1 ? 0 : Int(next() % UInt64(bound)) }

    /// True in one of `many` cases.
    mutating func one(in many: Int) -> Bool { below(many) == 0 }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// A number as mistakes are made with: the ends of types and of address spaces, and their neighbours.
    mutating func extreme() -> UInt64 {
        if one(in: 4) { return next() >> UInt64(below(64)) }
        let base = pick(Self.extremes)
        switch below(4) {
        case 0: return base &+ 1
        case 1: return base &- 1
        default: return base
        }
    }

    private static let extremes: [UInt64] =
        [
            0, 1, 7, 64, 100, 255, 4095, 4096, 65535, 1 << 16, 1 << 20, 1 << 30, 0x7fff_ffff, 1 << 31, 0xffff_ffff,
            1 << 32,
        ]
        + [1 << 40, 0x7fff_ffff_f000, 0x7fff_ffff_ffff, 1 << 47, 1 << 52, 1 << 56, 1 << 62, UInt64(Int64.max), 1 << 63]
        + [UInt64.max, UInt64.max - 4095, 0xffff_ffff_ff60_0000, 0x8000_0000_8000_0000]
}
