import SystemPackage
import Testing

/// The schema as `schema/*.proto` has it, read by the test itself: the second opinion on the generated code.
struct Schema {
    struct Field {
        var rule: String
        var type: String
        var name: String
        var number: UInt64
    }

    var messages: [String: [Field]] = [:]
    /// The numbers of each enumeration; those within a message by both names.
    var enums: [String: [Int64]] = [:]

    init() throws {
        let directory = Fixture.root.removingLastComponent().removingLastComponent().removingLastComponent()
            .appending("schema")
        for name in try fileNames(in: directory) where name.hasSuffix(".proto") {
            parse(String(decoding: try readFile(directory.appending(name)), as: UTF8.self))
        }
    }

    private mutating func parse(_ text: String) {
        var message: String?
        var enumeration: String?
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { " ;[]".contains($0) }).map(String.init)
            switch words.first {
            case "message":
                message = words[1]
                messages[words[1]] = []
            case "enum":
                enumeration = message.map { "\($0).\(words[1])" } ?? words[1]
                enums[enumeration ?? ""] = []
            case "required", "optional", "repeated":
                let nested = "\(message ?? "").\(words[1])"
                let field = Field(
                    rule: words[0], type: enums[nested] == nil ? words[1] : nested, name: words[2],
                    number: UInt64(words[4]) ?? 0)
                messages[message ?? "", default: []].append(field)
            case "}":
                if enumeration != nil { enumeration = nil } else { message = nil }
            default:
                if let enumeration, words.count == 3, let value = Int64(words[2]) {
                    enums[enumeration, default: []].append(value)
                }
            }
        }
    }
}

/// Makes messages as bytes, straight from the schema.
struct WireGenerator {
    let schema: Schema
    var random: SeededGenerator

    /// A message with all its fields, in the order of their numbers, as a serialiser writes them.
    mutating func message(_ type: String, depth: Int = 0) -> [UInt8] {
        let fields = (schema.messages[type] ?? []).sorted { $0.number < $1.number }
        var bytes: [UInt8] = []
        for field in fields {
            // A namespace may hold namespaces: it must end somewhere.
            if depth > 4 && field.rule != "required" { continue }
            for _ in 0..<(field.rule == "repeated" ? Int.random(in: 0...3, using: &random) : 1) {
                bytes += value(field, depth: depth)
            }
        }
        return bytes
    }

    private mutating func value(_ field: Schema.Field, depth: Int) -> [UInt8] {
        func tagged(_ wireType: UInt64, _ content: [UInt8]) -> [UInt8] {
            Self.varint(field.number << 3 | wireType) + content
        }
        func delimited(_ content: [UInt8]) -> [UInt8] { tagged(2, Self.varint(UInt64(content.count)) + content) }
        let choices: [UInt64] = [0, 1, .max, random.next(), random.next() >> 40]
        let bits = choices[Int.random(in: 0..<5, using: &random)]
        switch field.type {
        case "bool": return tagged(0, [UInt8(bits & 1)])
        case "int32": return tagged(0, Self.varint(UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: bits)))))
        case "uint32": return tagged(0, Self.varint(UInt64(UInt32(truncatingIfNeeded: bits))))
        case "sint32":
            let value = Int32(truncatingIfNeeded: bits)
            return tagged(0, Self.varint(UInt64(UInt32(bitPattern: value << 1 ^ value >> 31))))
        case "int64", "uint64": return tagged(0, Self.varint(bits))
        case "sint64":
            let value = Int64(bitPattern: bits)
            return tagged(0, Self.varint(UInt64(bitPattern: value << 1 ^ value >> 63)))
        case "fixed64": return tagged(1, (0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt64($0))) })
        case "string": return delimited(Array(["", "a", "/tmp/ü", "🐦 \" \\"][Int(bits % 4)].utf8))
        case "bytes": return delimited((0..<Int(bits % 9)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        default:
            if let values = schema.enums[field.type] {
                return tagged(0, Self.varint(UInt64(values.randomElement(using: &random) ?? 0)))
            }
            return delimited(message(field.type, depth: depth + 1))
        }
    }

    private static func varint(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while rest > 0x7f {
            bytes.append(UInt8(rest & 0x7f | 0x80))
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}

/// The same numbers in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
