import Crypto
import Diagnostics
import NIOCore
import Testing

@testable import Transport

/// Two sides of a connection that are joined in memory.
@Suite("TLS") struct TLSChannelTests {
    private static let hour: Int64 = 3600
    private static let good = -hour...hour

    /// What becomes of a connection.
    private struct Outcome {
        let client: TLSChannel
        let server: TLSChannel
        var clientFailed = false
        var serverFailed = false
        /// What the server was told.
        var heard: [UInt8] = []
    }

    private func credentials(_ validity: ClosedRange<Int64> = good, key: PairingToken? = nil) throws -> Credentials {
        let validity = Validity.now + validity.lowerBound...Validity.now + validity.upperBound
        guard let key else { return try Credentials(name: "test", validity: validity) }
        return try Credentials(key: key.key, name: "test", validity: validity)
    }

    /// - Parameters:
    ///   - takesServer: what the client thinks of the server's certificate, and takesClient the other way round.
    private func connect(
        _ client: Credentials, _ server: Credentials, takesServer: @escaping (PeerCertificate) -> Bool,
        takesClient: @escaping (PeerCertificate) -> Bool, saying words: [UInt8] = Array("hello".utf8)
    ) throws -> Outcome {
        let refusal = Problem(.notPaired, "no", remedy: "")
        var outcome = Outcome(
            client: try TLSChannel(.client, client) { takesServer($0) ? nil : refusal },
            server: try TLSChannel(.server, server) { takesClient($0) ? nil : refusal })
        // The words are there before the handshake is over: what waits must not go out too early.
        try outcome.client.send(ByteBuffer(bytes: words))
        for _ in 0..<20 {
            while let bytes = outcome.client.nextOutgoing() {
                do { try outcome.server.receive(bytes) } catch { outcome.serverFailed = true }
            }
            while let bytes = outcome.server.nextOutgoing() {
                do { try outcome.client.receive(bytes) } catch { outcome.clientFailed = true }
            }
            while var bytes = outcome.server.nextIncoming() {
                outcome.heard += bytes.readBytes(length: bytes.readableBytes) ?? []
            }
        }
        return outcome
    }

    @Test func hostsThatKnowEachOther() throws {
        let (client, server) = (try credentials(), try credentials())
        let words = [UInt8](repeating: 7, count: 3 << 20)
        let outcome = try connect(
            client, server, takesServer: { $0.fingerprint == server.fingerprint },
            takesClient: { $0.fingerprint == client.fingerprint }, saying: words)
        #expect(outcome.client.isEstablished && outcome.server.isEstablished)
        #expect(outcome.heard == words)
        #expect(outcome.server.peer?.fingerprint == client.fingerprint)
    }

    @Test func aClientThatIsNotKnown() throws {
        let outcome = try connect(
            try credentials(), try credentials(), takesServer: { _ in true }, takesClient: { _ in false })
        #expect(!outcome.server.isEstablished && outcome.serverFailed && outcome.server.refusal != nil)
        #expect(outcome.heard == [])
        #expect(outcome.clientFailed && outcome.client.isOver)
    }

    @Test func aServerThatIsNotKnown() throws {
        let outcome = try connect(
            try credentials(), try credentials(), takesServer: { _ in false }, takesClient: { _ in true })
        #expect(!outcome.client.isEstablished && outcome.clientFailed && outcome.client.refusal != nil)
        #expect(!outcome.server.isEstablished && outcome.heard == [])
    }

    /// A certificate is public: who shows that of another has not its key.
    @Test func aCertificateThatWasStolen() throws {
        let (known, server) = (try credentials(), try credentials())
        let thief = try Credentials(key: .init(), der: known.der)
        // The library itself may see that key and certificate do not belong together.
        guard
            let outcome = try? connect(
                thief, server, takesServer: { _ in true }, takesClient: { $0.fingerprint == known.fingerprint })
        else { return }
        #expect(!outcome.server.isEstablished && outcome.heard == [])
    }

    @Test(arguments: [-7200 ... -3600, 3600...7200] as [ClosedRange<Int64>])
    func timesAreSeen(_ validity: ClosedRange<Int64>) throws {
        let client = try credentials(validity)
        let outcome = try connect(
            client, try credentials(), takesServer: { _ in true },
            takesClient: { !$0.validity.isOver && !$0.validity.isYetToCome })
        #expect(!outcome.server.isEstablished && outcome.heard == [])
        #expect(client.validity.isOver == (validity.upperBound < 0))
        // Beyond the year 2049 times are written otherwise.
        let far = try credentials(-3600...40 * 365 * 86400)
        #expect(!far.validity.isOver && far.validity.until - Validity.now > 39 * 365 * 86400)
    }

    @Test func bytesThatAreNoTLS() throws {
        let server = try TLSChannel(.server, try credentials()) { _ in nil }
        #expect(throws: (any Error).self) {
            try server.receive(ByteBuffer(string: "AP\u{1}\0\u{10}\0\0\0{\"protocol\":1}"))
        }
        #expect(!server.isEstablished && server.isOver && server.nextIncoming() == nil)
    }

    /// A token opens the way for its holder alone, whatever else the certificate says.
    @Test func aKeyFromAToken() throws {
        let server = try credentials()
        let token = PairingToken(for: server.fingerprint)
        let key = Fingerprint(of: Array(try token.key.publicKey.derRepresentation))
        let taken = try connect(
            try credentials(key: token), server, takesServer: { token.means($0.fingerprint) },
            takesClient: { $0.key == key })
        #expect(taken.server.isEstablished && taken.client.isEstablished)
        let other = try connect(
            try credentials(key: PairingToken(for: server.fingerprint)), server, takesServer: { _ in true },
            takesClient: { $0.key == key })
        #expect(!other.server.isEstablished)
    }
}
