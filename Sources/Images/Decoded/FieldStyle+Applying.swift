internal import Diagnostics

extension FieldStyle {
    /// The value in this style; a value that the style is not made for stays as it is.
    func applied(to value: JSON) -> JSON {
        switch self {
        case .address:
            guard case .array(let values) = value, case let words = values.compactMap(\.bits),
                let text = Self.address(words)
            else { return value }
            return .array([.string(text)])
        case .text, .quoted, .lines:
            guard case .string(let base64) = value, let bytes = Base64.decode(base64) else { return value }
            return .string(shown(bytes))
        case .hexadecimal, .flags, .names, .device:
            if case .array(let values) = value { return .array(values.map(applied)) }
            // A negative number is the same bits, unsigned.
            return value.bits.map(shown) ?? value
        }
    }

    private func shown(_ number: UInt64) -> JSON {
        switch self {
        case .hexadecimal: return .string(Self.hexadecimal(number))
        case .names(let names): return names[number].map(JSON.string) ?? .number(number)
        case .device: return .string("\(number >> 20):\(number & 0xf_ffff)")
        case .flags(let bits):
            var left = number
            var parts: [String] = []
            for (bit, name) in bits where left & bit == bit {
                parts.append(name)
                left &= ~bit
            }
            if left != 0 { parts.append(Self.hexadecimal(left)) }
            return .string(parts.joined(separator: " | "))
        case .address, .text, .quoted, .lines: return .number(number)
        }
    }

    private func shown(_ bytes: [UInt8]) -> String {
        switch self {
        case .quoted:
            return bytes.map { byte in
                let isPlain = (0x21...0x7e).contains(byte) && byte != UInt8(ascii: "=") || byte == 0x20
                let digits = String(byte, radix: 16, uppercase: true)
                return isPlain ? String(Unicode.Scalar(byte)) : "=" + (digits.count == 1 ? "0" : "") + digits
            }.joined()
        case .lines: return Base64.encode(bytes)
        case .text, .hexadecimal, .flags, .names, .device, .address: return String(decoding: bytes, as: UTF8.self)
        }
    }

    static func hexadecimal(_ number: UInt64) -> String { "0x" + String(number, radix: 16) }

    /// The words of an address, each in network byte order as a little-endian machine reads it; nil where there are
    /// neither one nor four.
    static func address(_ words: [UInt64]) -> String? {
        let bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
        switch words.count {
        case 1: return bytes.map(String.init).joined(separator: ".")
        case 4: return version6(bytes)
        default: return nil
        }
    }

    /// RFC 5952: groups of hexadecimal digits, the longest run of zero groups left out.
    private static func version6(_ bytes: [UInt8]) -> String {
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        var longest = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > max(longest.count, 1) {
                longest = start..<index + 1
            }
        }
        let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        if longest.isEmpty { return text(groups[...]) }
        return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }
}
