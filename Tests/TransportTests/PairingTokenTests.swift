import Crypto
import Diagnostics
import Testing

@testable import Transport

@Suite("Tokens that pair hosts") struct PairingTokenTests {
    private let token = PairingToken(for: Fingerprint(of: [1, 2, 3]))

    @Test func goesThroughText() throws {
        #expect(try PairingToken(token.text) == token)
        #expect(try PairingToken("  \(token.text.uppercased())\n") == token)
        #expect(token.text.allSatisfy { $0.isLetter || $0.isNumber })
        #expect(token.means(Fingerprint(of: [1, 2, 3])))
        #expect(!token.means(Fingerprint(of: [1, 2, 4])))
    }

    @Test func isNotTakenByHalf() {
        let text = token.text
        var wrong = text
        wrong.removeLast(3)
        wrong += text.hasSuffix("aaa") ? "bbb" : "aaa"
        for damaged in ["", "apus", "nonsense", String(text.dropLast()), String(text.dropFirst(5)), text + text, wrong]
        {
            #expect(throws: Problem.self, "\(damaged)") { _ = try PairingToken(damaged) }
        }
    }

    @Test func standsForOneKey() throws {
        let key = try token.key
        #expect(try PairingToken(token.text).key.rawRepresentation == key.rawRepresentation)
        #expect(try PairingToken(for: Fingerprint(of: [1, 2, 3])).key.rawRepresentation != key.rawRepresentation)
    }
}
