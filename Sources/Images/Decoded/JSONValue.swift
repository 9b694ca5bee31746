/// A JSON document as a value (RFC 8259). Numbers keep their spelling: those of images have up to 64 bits, more than a
/// floating-point number can hold.
public enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// As it is spelt.
    case number(String)
    case string(String)
    case array([JSONValue])
    /// In the order of writing.
    case object([Member])

    public struct Member: Sendable {
        public var name: String
        public var value: JSONValue

        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    public static func number(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

    /// The member of an object with this name.
    public subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The number as an unsigned one.
    public var unsigned: UInt64? {
        if case .number(let text) = self { UInt64(text) } else { nil }
    }
}

extension JSONValue: Equatable {
    /// Objects are equal whatever the order of their members.
    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let one), .bool(let other)): one == other
        case (.number(let one), .number(let other)): one == other
        case (.string(let one), .string(let other)): one == other
        case (.array(let one), .array(let other)): one == other
        case (.object(let one), .object(let other)):
            one.count == other.count && one.allSatisfy { member in right[member.name] == member.value }
        case (.null, _), (.bool, _), (.number, _), (.string, _), (.array, _), (.object, _): false
        }
    }
}

extension JSONValue {
    /// The document as text.
    ///
    /// - Parameter pretty: with a line for each member, as people read it; otherwise all in one line.
    public func text(pretty: Bool = true) -> String {
        var text = ""
        write(into: &text, indent: pretty ? "\n" : nil)
        return text
    }

    /// - Parameter indent: a new line up to the column of this value; nil where all is in one line.
    private func write(into text: inout String, indent: String?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let spelling): text += spelling
        case .string(let string): Self.write(string, into: &text)
        case .array(let values):
            Self.writeList("[", values, "]", into: &text, indent: indent) { value, text, indent in
                value.write(into: &text, indent: indent)
            }
        case .object(let members):
            Self.writeList("{", members, "}", into: &text, indent: indent) { member, text, indent in
                Self.write(member.name, into: &text)
                text += ": "
                member.value.write(into: &text, indent: indent)
            }
        }
    }

    private static func writeList<Element>(
        _ open: String, _ elements: [Element], _ close: String, into text: inout String, indent: String?,
        write: (Element, inout String, String?) -> Void
    ) {
        text += open
        let inner = indent.map { $0 + "    " }
        for (index, element) in elements.enumerated() {
            if index > 0 { text += inner == nil ? ", " : "," }
            text += inner ?? ""
            write(element, &text, inner)
        }
        if !elements.isEmpty { text += indent ?? "" }
        text += close
    }

    private static func write(_ string: String, into text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
