public import Diagnostics

extension JSON {
    /// A whole number: as an integer where it fits, so that equal numbers are equal values.
    public static func number(_ value: some FixedWidthInteger) -> JSON {
        if let value = Int64(exactly: value) { .integer(value) } else { .unsigned(UInt64(truncatingIfNeeded: value)) }
    }

    /// The member of an object with this name.
    public subscript(_ name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// Whether it is `true`; nil for anything that is no truth value.
    public var isTrue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The elements of an array; nil for anything else.
    public var elements: [JSON]? {
        if case .array(let values) = self { values } else { nil }
    }

    /// The text of a string; nil for anything else.
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The bits of a whole number; nil for anything else.
    public var bits: UInt64? {
        switch self {
        case .integer(let value): UInt64(bitPattern: value)
        case .unsigned(let value): value
        case .null, .bool, .double, .string, .array, .object: nil
        }
    }

    /// Reads a document; nil where the text is none.
    public init?(parsing text: some Collection<UInt8>) {
        var parser = JSONParser(Array(text))
        guard let value = parser.value(depth: 0), parser.isAtEnd else { return nil }
        self = value
    }
}

/// Reads JSON text from front to back. Every method returns nil where the text is not what it should be.
private struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0
    /// Deeper than any document of ours, and shallow enough for the stack.
    private static let deepest = 200

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Nothing but space is left.
    var isAtEnd: Bool {
        mutating get {
            skipSpace()
            return position == bytes.count
        }
    }

    mutating func value(depth: Int) -> JSON? {
        guard depth < Self.deepest else { return nil }
        skipSpace()
        guard let byte = peek() else { return nil }
        switch byte {
        case UInt8(ascii: "{"): return object(depth: depth)
        case UInt8(ascii: "["): return array(depth: depth)
        case UInt8(ascii: "\""): return string().map(JSON.string)
        case UInt8(ascii: "t"): return take("true") ? .bool(true) : nil
        case UInt8(ascii: "f"): return take("false") ? .bool(false) : nil
        case UInt8(ascii: "n"): return take("null") ? .null : nil
        default: return number()
        }
    }

    private mutating func object(depth: Int) -> JSON? {
        position += 1
        var members: [JSON.Member] = []
        if accept("}") { return .object([]) }
        repeat {
            skipSpace()
            guard peek() == UInt8(ascii: "\""), let name = string(), accept(":"), let value = value(depth: depth + 1)
            else { return nil }
            members.append(.init(name, value))
        } while accept(",")
        return accept("}") ? .object(members) : nil
    }

    private mutating func array(depth: Int) -> JSON? {
        position += 1
        var values: [JSON] = []
        if accept("]") { return .array([]) }
        repeat {
            guard let value = value(depth: depth + 1) else { return nil }
            values.append(value)
        } while accept(",")
        return accept("]") ? .array(values) : nil
    }

    private mutating func number() -> JSON? {
        let start = position
        let allowed = Set("+-.eE0123456789".utf8)
        while let byte = peek(), allowed.contains(byte) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if let value = Int64(text) { return text.hasPrefix("+") ? nil : .integer(value) }
        if let value = UInt64(text) { return .unsigned(value) }
        return Double(text).map(JSON.double)
    }

    private mutating func string() -> String? {
        position += 1
        var content: [UInt8] = []
        while let byte = peek() {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: content, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let scalar = escape() else { return nil }
                content += Array(String(Character(scalar)).utf8)
            case 0..<0x20: return nil
            default: content.append(byte)
            }
        }
        return nil
    }

    private mutating func escape() -> Unicode.Scalar? {
        guard let byte = peek() else { return nil }
        position += 1
        switch byte {
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "u"): return codePoint()
        default: return nil
        }
    }

    /// The digits of `\uXXXX`, and of the second half where it is the first of a surrogate pair.
    private mutating func codePoint() -> Unicode.Scalar? {
        guard let first = hexadecimal() else { return nil }
        guard (0xd800..<0xdc00).contains(first) else { return Unicode.Scalar(first) }
        guard take("\\u"), let second = hexadecimal(), (0xdc00..<0xe000).contains(second) else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
    }

    private mutating func hexadecimal() -> UInt32? {
        guard position + 4 <= bytes.count else { return nil }
        let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
        position += 4
        return UInt32(digits, radix: 16)
    }

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || (0x09...0x0d).contains(byte) { position += 1 }
    }

    /// Takes this character, with space before it.
    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard peek() == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func take(_ word: StaticString) -> Bool {
        let word = Array(word.description.utf8)
        guard bytes[position...].starts(with: word) else { return false }
        position += word.count
        return true
    }
}
