/// Finds the two keys by which somebody leaves a terminal that he is joined to: Ctrl-] and d.
///
/// Ctrl-] twice is one for the program. Before any other key, and where none comes for a moment, it is for the program, too: so
/// editors that have a use for it (vim, where it follows a tag) get it half a second late.
struct EscapeKey {
    private static let escape: UInt8 = 0x1d
    /// How long the second key is waited for, in nanoseconds.
    static let patience: UInt64 = 500_000_000

    /// Ctrl-] was typed, and it is not known yet for whom.
    private(set) var isPending = false
    /// What the keys are called.
    static let name = "Ctrl-] d"

    /// - Returns: what is for the program, and whether the user leaves; what he has typed behind that is for nobody.
    mutating func take(_ typed: [UInt8]) -> (passed: [UInt8], leaves: Bool) {
        var passed: [UInt8] = []
        for key in typed {
            switch (isPending, key) {
            case (true, UInt8(ascii: "d")), (true, UInt8(ascii: "D")):
                isPending = false
                return (passed, true)
            case (true, Self.escape):
                isPending = false
                passed.append(key)
            case (false, Self.escape): isPending = true
            case (true, _):
                isPending = false
                passed += [Self.escape, key]
            case (false, _): passed.append(key)
            }
        }
        return (passed, false)
    }

    /// No second key has come.
    mutating func giveUp() -> [UInt8] {
        defer { isPending = false }
        return isPending ? [Self.escape] : []
    }
}
