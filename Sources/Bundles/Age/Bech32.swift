/// Bech32 (BIP 173), in which age writes keys: a name, a 1, and 5 bits a letter with a checksum of six letters.
enum Bech32 {
    private static let letters = Array("qpzry9x8gf2tvdw0s3jn54khce6mua7l".utf8)

    /// - Returns: the name, in small letters, and the bytes; nil for what is no such text.
    static func decode(_ text: String) -> (name: String, bytes: [UInt8])? {
        guard text.utf8.count < 1024, text == text.lowercased() || text == text.uppercased() else { return nil }
        let text = Array(text.lowercased().utf8)
        guard let divider = text.lastIndex(of: 0x31), divider > 0, text.count - divider > 6 else { return nil }
        let name = Array(text[..<divider])
        var values: [UInt8] = []
        for letter in text[(divider + 1)...] {
            guard let value = letters.firstIndex(of: letter) else { return nil }
            values.append(UInt8(value))
        }
        guard checksum(name, values) == 1, let bytes = regroup(values.dropLast(6), from: 5, to: 8, pads: false) else {
            return nil
        }
        return (String(decoding: name, as: UTF8.self), bytes)
    }

    /// The other way round.
    static func encode(_ name: String, _ bytes: [UInt8]) -> String {
        let values = regroup(bytes[...], from: 8, to: 5, pads: true) ?? []
        let sum = checksum(Array(name.utf8), values + [0, 0, 0, 0, 0, 0]) ^ 1
        let end = (0..<6).map { UInt8(sum >> UInt32(5 * (5 - $0)) & 31) }
        return name + "1" + String(decoding: (values + end).map { letters[Int($0)] }, as: UTF8.self)
    }

    private static func checksum(_ name: [UInt8], _ values: [UInt8]) -> UInt32 {
        let generators: [UInt32] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3]
        var sum: UInt32 = 1
        for value in name.map({ $0 >> 5 }) + [0] + name.map({ $0 & 31 }) + values {
            let top = sum >> 25
            sum = (sum & 0x1ff_ffff) << 5 ^ UInt32(value)
            for bit in 0..<5 where top >> UInt32(bit) & 1 == 1 { sum ^= generators[bit] }
        }
        return sum
    }

    private static func regroup(_ values: ArraySlice<UInt8>, from: Int, to: Int, pads: Bool) -> [UInt8]? {
        var (held, bits) = (0, 0)
        var result: [UInt8] = []
        for value in values {
            held = (held << from | Int(value)) & 0xffff
            bits += from
            while bits >= to {
                bits -= to
                result.append(UInt8(held >> bits & (1 << to - 1)))
            }
        }
        let rest = held & (1 << bits - 1)
        if pads {
            if bits > 0 { result.append(UInt8(rest << (to - bits))) }
        } else if bits >= from || rest != 0 {
            return nil
        }
        return result
    }
}
