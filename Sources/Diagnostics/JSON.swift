/// A JSON value (RFC 8259) to be printed. Objects keep the order of their members, so that output is stable.
public enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case unsigned(UInt64)
    case double(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    /// One name and its value within an object.
    public struct Member: Sendable, Equatable {
        public var name: String
        public var value: JSON
        public init(_ name: String, _ value: JSON) {
            self.name = name
            self.value = value
        }
    }

    /// The value as text: indented by two spaces a level for people, or all on one line.
    public func text(indented: Bool = true) -> String {
        var output = ""
        write(to: &output, level: indented ? 0 : nil)
        return output
    }

    private func write(to output: inout String, level: Int?) {
        switch self {
        case .null: output += "null"
        case .bool(let value): output += value ? "true" : "false"
        case .integer(let value): output += String(value)
        case .unsigned(let value): output += String(value)
        // JSON has no infinities and no NaN.
        case .double(let value): output += value.isFinite ? String(value) : "null"
        case .string(let value): Self.write(quoted: value, to: &output)
        case .array(let values):
            Self.write(list: values, open: "[", close: "]", level: level, to: &output) { value, output, level in
                value.write(to: &output, level: level)
            }
        case .object(let members):
            Self.write(list: members, open: "{", close: "}", level: level, to: &output) { member, output, level in
                Self.write(quoted: member.name, to: &output)
                output += level == nil ? ":" : ": "
                member.value.write(to: &output, level: level)
            }
        }
    }

    private static func write<Element>(
        list: [Element], open: String, close: String, level: Int?, to output: inout String,
        each: (Element, inout String, Int?) -> Void
    ) {
        output += open
        for (index, element) in list.enumerated() {
            if index > 0 { output += "," }
            if let level { output += "\n" + String(repeating: "  ", count: level + 1) }
            each(element, &output, level.map { $0 + 1 })
        }
        if let level, !list.isEmpty { output += "\n" + String(repeating: "  ", count: level) }
        output += close
    }

    private static func write(quoted text: String, to output: inout String) {
        output += "\""
        defer { output += "\"" }
        // Most have nothing that is written otherwise, and a manifest may have thousands.
        let isPlain = text.utf8.allSatisfy {
            $0 >= UInt8(ascii: " ") && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") && $0 != 0x7f
        }
        if isPlain {
            output += text
            return
        }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            case "\0"..<" ", "\u{7f}":
                let digits = String(scalar.value, radix: 16)
                output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: output.unicodeScalars.append(scalar)
            }
        }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(elements.map { Member($0.0, $0.1) })
    }
}
