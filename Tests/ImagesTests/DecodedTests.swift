import Diagnostics
import Images
import SystemPackage
import Testing

@Suite("Decoding for people and programs")
struct DecodedTests {
    @Test("Every image of every fixture decodes to exactly what the JSON beside it says", arguments: Fixture.names)
    func fixtures(name: String) throws {
        let text = try readFile(Fixture.root.appending(name + ".json"))
        guard case .object(let files) = try #require(JSON(parsing: text)) else {
            Issue.record("the JSON is no object")
            return
        }
        let directory = try ImageDirectory(opening: Fixture.path(name))
        #expect(try directory.fileNames() == files.map(\.name).sorted())
        for file in files {
            let image = try #require(try directory.file(named: file.name))
            if let size = file.value["size"] {
                #expect(size == .integer(Int64(image.size)), "\(file.name)")
                continue
            }
            let kind = try #require(AnyImageKind.named(file.name)?.kind)
            let decoded = try kind.json(of: image)
            #expect(sorted(decoded) == sorted(file.value), "\(file.name): \(difference(decoded, file.value))")
        }
    }

    /// With the members of objects in one order: it means nothing.
    private func sorted(_ value: JSON) -> JSON {
        switch value {
        case .object(let members):
            .object(members.map { .init($0.name, sorted($0.value)) }.sorted { $0.name < $1.name })
        case .array(let values): .array(values.map(sorted))
        case .null, .bool, .integer, .unsigned, .double, .string: value
        }
    }

    /// Where two documents first differ.
    private func difference(_ one: JSON, _ other: JSON, _ path: String = "") -> String {
        switch (one, other) {
        case (.object(let members), .object(let others)):
            for member in members {
                guard let match = other[member.name] else { return "\(path).\(member.name) is too much" }
                if sorted(match) != sorted(member.value) {
                    return difference(member.value, match, "\(path).\(member.name)")
                }
            }
            return others.filter { one[$0.name] == nil }.map { "\(path).\($0.name) is missing" }.joined(separator: ", ")
        case (.array(let values), .array(let others)) where values.count == others.count:
            for (index, pair) in zip(values, others).enumerated() where sorted(pair.0) != sorted(pair.1) {
                return difference(pair.0, pair.1, "\(path)[\(index)]")
            }
            return "equal"
        default:
            return "\(path): \(one.text(indented: false).prefix(200)) is not \(other.text(indented: false).prefix(200))"
        }
    }

    @Test(
        "JSON is written as it is read",
        arguments: [
            #"{"a":[1,-2,18446744073709551615,1.5],"b":{"c":null,"d":true},"e":[],"f":{},"g":false}"#,
            #"["\" \\ \n \u0001 ü 🐦"]"#,
        ])
    func jsonRoundTrip(text: String) throws {
        let value = try #require(JSON(parsing: text.utf8))
        #expect(value.text(indented: false) == text)
        #expect(JSON(parsing: value.text().utf8) == value)
    }

    @Test(
        "What is no JSON is refused",
        arguments: [
            "", "{", "[1,]", "[1 2]", #"{"a" 1}"#, "tru", "[1]x", "\"", #""\ud800""#, "-", "{1: 2}", "\u{1}",
            String(repeating: "[", count: 100_000),
        ])
    func badJSON(text: String) {
        #expect(JSON(parsing: text.utf8) == nil)
    }

    @Test("Escapes of JSON are understood")
    func escapes() {
        #expect(JSON(parsing: #""\u00fc\ud83d\udc26\/\b""#.utf8) == .string("ü🐦/\u{8}"))
    }
}
