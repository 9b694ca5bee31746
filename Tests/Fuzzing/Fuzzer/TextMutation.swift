/// Damage to text: to its numbers, its words and its lines.
enum TextMutation {
    static func damage(_ text: [UInt8], with other: [UInt8], _ random: inout Random) -> [UInt8] {
        var result = text
        for _ in 0...random.below(3) {
            switch random.below(8) {
            case 0, 1, 2: result = numbers(result, &random)
            case 3: result = lines(result, other, &random)
            case 4: result = nested(result, &random)
            case 5: result = quoted(result, &random)
            default: result = Mutation.damage(result, with: other, &random)
            }
        }
        return result
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Another number in the place of one.
    private static func numbers(_ text: [UInt8], _ random: inout Random) -> [UInt8] {
        let starts = text.indices.filter { isDigit(text[$0]) && ($0 == 0 || !isDigit(text[$0 - 1])) }
        guard !starts.isEmpty else { return text }
        let start = random.pick(starts)
        let end = text[start...].firstIndex { !isDigit($0) } ?? text.endIndex
        let value = random.extreme()
        let written =
            switch random.below(6) {
            case 0: "-\(value)"
            case 1: String(value, radix: 16)
            case 2: String(repeating: "9", count: 1 + random.below(400))
            case 3: "\(value).\(random.below(100))e\(random.below(9999))"
            default: "\(value)"
            }
        return text[..<start] + Array(written.utf8) + text[end...]
    }

    private static func lines(_ text: [UInt8], _ other: [UInt8], _ random: inout Random) -> [UInt8] {
        let newline = UInt8(ascii: "\n")
        var lines = text.split(separator: newline, omittingEmptySubsequences: false)
        let others = other.split(separator: newline, omittingEmptySubsequences: false)
        let place = random.below(lines.count)
        switch random.below(4) {
        case 0: lines.remove(at: place)
        case 1: lines.insert(lines[random.below(lines.count)], at: place)
        case 2: lines.insert(others[random.below(others.count)], at: place)
        default: lines.swapAt(place, random.below(lines.count))
        }
        return Array(lines.joined(separator: [newline]))
    }

    /// Brackets within brackets, for whoever goes down into them.
    private static func nested(_ text: [UInt8], _ random: inout Random) -> [UInt8] {
        guard random.one(in: 4) else { return text }
        let opening = random.pick([Array("[".utf8), Array("{\"a\":".utf8), Array("(".utf8), Array("\"".utf8)])
        let place = random.below(text.count + 1)
        let depth = random.pick([10, 300, 20_000])
        return text[..<place] + Array(repeatElement(opening, count: depth).joined()) + text[place...]
    }

    private static func quoted(_ text: [UInt8], _ random: inout Random) -> [UInt8] {
        let pieces: [[UInt8]] = [
            Array("\\".utf8), Array("\\u".utf8), Array("\\ud800".utf8), Array("\"".utf8), Array("#".utf8), [0], [0xff],
            [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], Array("\\012".utf8), Array(" (deleted)".utf8),
            Array("\t".utf8),
        ]
        var result = text
        result.insert(contentsOf: random.pick(pieces), at: random.below(text.count + 1))
        return result
    }
}
