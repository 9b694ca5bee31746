import Images
import SwiftProtobuf
import Testing

@Suite("Every message of the schema")
struct MessageRoundTripTests {
    @Test("The list of types is complete")
    func completeness() throws {
        let names = Set(allMessageTypes.map { String($0.protoMessageName.split(separator: ".").last ?? "") })
        #expect(names == Set(try Schema().messages.keys))
        #expect(names.count >= 172)
    }

    @Test("Bytes made from the schema decode with no field left over, and come back the same, as JSON too")
    func roundTrip() throws {
        let schema = try Schema()
        for type in allMessageTypes {
            let name = String(type.protoMessageName.split(separator: ".").last ?? "")
            var generator = WireGenerator(schema: schema, random: SeededGenerator(seed: UInt64(name.utf8.count)))
            for _ in 0..<20 { try check(type, generator.message(name)) }
        }
    }

    private func check<Entry: Message & Equatable>(_ type: Entry.Type, _ bytes: [UInt8]) throws {
        let message = try Entry(serializedBytes: bytes)
        #expect(message.unknownFields == UnknownStorage(), "\(type) does not know a field of the schema")
        let written: [UInt8] = try message.serializedBytes()
        #expect(written == bytes, "\(type)")
        var options = JSONEncodingOptions()
        options.preserveProtoFieldNames = true
        let text: [UInt8] = try message.jsonUTF8Bytes(options: options)
        #expect(try Entry(jsonUTF8Bytes: text) == message, "\(type)")
    }

    @Test("A message without a required field is refused")
    func missingField() throws {
        let schema = try Schema()
        var generator = WireGenerator(schema: schema, random: SeededGenerator(seed: 1))
        var refused = 0
        for type in allMessageTypes {
            let name = String(type.protoMessageName.split(separator: ".").last ?? "")
            guard schema.messages[name]?.contains(where: { $0.rule == "required" }) == true else { continue }
            #expect(throws: BinaryDecodingError.self, "\(name)") { try type.init(serializedBytes: [UInt8]()) }
            // What the generator makes has it.
            _ = try type.init(serializedBytes: generator.message(name))
            refused += 1
        }
        #expect(refused > 100)
    }
}
