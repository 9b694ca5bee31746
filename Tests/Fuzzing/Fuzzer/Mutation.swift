/// Damage to bytes of which nothing is known.
enum Mutation {
    /// - Parameter other: bytes of the same sort, of which pieces may be taken.
    static func damage(_ bytes: [UInt8], with other: [UInt8], _ random: inout Random) -> [UInt8] {
        var result = bytes
        for _ in 0...random.below(3) { once(&result, other, &random) }
        return result
    }

    private static func once(_ bytes: inout [UInt8], _ other: [UInt8], _ random: inout Random) {
        if bytes.isEmpty {
            bytes = random.bytes(1 + random.below(64))
            return
        }
        let place = random.below(bytes.count)
        switch random.below(11) {
        case 0: bytes[place] ^= 1 << UInt8(random.below(8))
        case 1: bytes[place] = random.pick([0, 1, 0x7f, 0x80, 0xfe, 0xff, UInt8(truncatingIfNeeded: random.next())])
        case 2: bytes.removeSubrange(place...)
        case 3: bytes += random.bytes(1 + random.below(40))
        case 4: overwrite(&bytes, at: place, random.extreme(), width: random.pick([2, 4, 4, 8]))
        case 5: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(32)))
        case 6: bytes.insert(contentsOf: piece(of: bytes, &random), at: place)
        case 7: bytes.insert(contentsOf: piece(of: other, &random), at: place)
        case 8:
            let part = piece(of: other, &random)
            for (offset, byte) in part.enumerated() where place + offset < bytes.count { bytes[place + offset] = byte }
        case 9: bytes.insert(contentsOf: repeatElement(bytes[place], count: 1 + random.below(4000)), at: place)
        default: bytes[place] &+= random.one(in: 2) ? 1 : 0xff
        }
    }

    static func overwrite(_ bytes: inout [UInt8], at place: Int, _ value: UInt64, width: Int) {
        for index in 0..<width where place + index < bytes.count {
            bytes[place + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
        }
    }

    static func piece(of bytes: [UInt8], _ random: inout Random) -> [UInt8] {
        let start = random.below(bytes.count)
        return Array(bytes[start..<min(bytes.count, start + 1 + random.below(200))])
    }
}
