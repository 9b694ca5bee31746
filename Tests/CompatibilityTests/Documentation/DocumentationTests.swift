import Foundation
import SystemPackage
import Testing

@testable import Compatibility

/// What the documentation says agrees with the program.
@Suite struct DocumentationTests {
    private static let root = URL(fileURLWithPath: Repository.root.string)
    /// With APUS_UPDATE_DOCS=1 in the environment the table is written anew instead of compared.
    private static let updates = ProcessInfo.processInfo.environment["APUS_UPDATE_DOCS"] == "1"

    @Test func tableOfOptionsIsUpToDate() throws {
        let page = Self.root.appendingPathComponent("docs/command-line.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let begin = try #require(text.range(of: "<!-- options -->\n"))
        let end = try #require(text.range(of: "<!-- end of options -->"))
        let expected = Self.table()
        if Self.updates {
            let updated = text.replacingCharacters(in: begin.upperBound..<end.lowerBound, with: expected)
            try updated.write(to: page, atomically: true, encoding: .utf8)
        } else {
            #expect(
                String(text[begin.upperBound..<end.lowerBound]) == expected,
                "APUS_UPDATE_DOCS=1 swift test --filter DocumentationTests writes it anew")
        }
    }

    static func table() -> String {
        var text = "| option | verbs | state | what it is for |\n|---|---|---|---|\n"
        for option in CommandOption.all {
            var name = option.short.map { "`-\(Character(Unicode.Scalar($0)))`, " } ?? ""
            switch option.argument {
            case .none: name += "`--\(option.long)`"
            case .required(let value): name += "`--\(option.long) \(value)`"
            case .optional(let value): name += "`--\(option.long)[=\(value)]`"
            }
            let verbs =
                option.verbs == .all
                ? "all" : Verb.allCases.filter(option.verbs.covers).map(\.rawValue).joined(separator: ", ")
            let own = option.origin == .apus ? " (of Apus alone)" : ""
            text += "| \(name) | \(verbs) | \(state(option.status)) | \(option.summary)\(own) |\n"
        }
        return text
    }

    private static func state(_ status: CommandOption.Status) -> String {
        switch status {
        case .works: "works"
        case .neutral(let why): "accepted: \(why)"
        case .someOf(let values): "works: any of " + values.map { "`\($0)`" }.joined(separator: ", ")
        case .among(let values): "works: " + values.map { "`\($0)`" }.joined(separator: ", ")
        case .only(let values): "only " + values.map { "`\($0)`" }.joined(separator: ", ")
        case .notBuilt: "not built yet"
        }
    }

    @Test func everyProblemCodeIsDocumented() throws {
        let declared = try Self.declaredCodes()
        #expect(declared.count > 30)
        let page = try String(contentsOf: Self.root.appendingPathComponent("docs/errors.md"), encoding: .utf8)
        let documented = Set(page.matches(of: /(?m)^\| `([a-z0-9-]+)` \|/).map { String($0.output.1) })
        #expect(declared.subtracting(documented).sorted() == [], "add a row for each to docs/errors.md")
        #expect(documented.subtracting(declared).sorted() == [], "no source declares these codes any more")
    }

    /// The codes that the sources declare, or use without a declaration.
    private static func declaredCodes() throws -> Set<String> {
        let sources = root.appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        var codes: Set<String> = []
        for case let file as URL in files where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            guard text.contains("Problem") else { continue }
            for match in text.matches(of: /static let \w+: (?:Self|Problem\.Code|Code) = "([a-z0-9-]+)"/) {
                codes.insert(String(match.output.1))
            }
            for match in text.matches(of: /Problem\(\s*"([a-z0-9-]+)"/) { codes.insert(String(match.output.1)) }
        }
        return codes
    }

    @Test func everyBuiltVerbIsInTheManual() throws {
        let page = try String(contentsOf: Self.root.appendingPathComponent("man/apus.1"), encoding: .utf8)
        for verb in Verb.allCases where verb.isBuilt {
            #expect(page.contains("\\fBapus \(verb.rawValue)\\fR"), "\(verb.rawValue)")
        }
        for option in CommandOption.all where option.status == .works {
            let written = "\\-\\-" + option.long.replacingOccurrences(of: "-", with: "\\-")
            #expect(page.contains(written), "--\(option.long) is missing from man/apus.1")
        }
    }
}
