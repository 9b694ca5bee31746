import Diagnostics
import Testing

@testable import Bundles

private final class Collector: ByteSink {
    var bytes: [UInt8] = []
    func write(_ piece: [UInt8]) { bytes += piece }
    func finish() {}
}

private final class OneSource: ByteSource {
    private var bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
    func next() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }
}

@Suite struct AgeTests {
    /// Keys made by age-keygen for this test.
    private static let secret = "AGE-SECRET-KEY-1PF6K2XKA8UQ7PVCFXMPEYD490R609ZQLKF7P63VKCLWR74YZFS4Q69A6V5"
    private static let recipient = "age1rhq20nqvsy3v5knr3ezvuydy2cvwhl7yvwuepqqd5w30386zaewq4g8tgr"

    private func encrypt(_ bytes: [UInt8], _ lock: AgeLock) throws -> [UInt8] {
        let collector = Collector()
        let sink = try AgeFormat.sink(for: lock, into: collector)
        for start in stride(from: 0, to: bytes.count, by: 10_000) {
            try sink.write(Array(bytes[start..<min(start + 10_000, bytes.count)]))
        }
        try sink.finish()
        return collector.bytes
    }

    private func decrypt(_ bytes: [UInt8], _ keys: [AgeKey]) throws -> [UInt8] {
        let source = try AgeFormat.source(of: PeekedSource(OneSource(bytes)), keys: keys)
        var all: [UInt8] = []
        while true {
            let piece = try source.next()
            if piece.isEmpty { return all }
            all += piece
        }
    }

    @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000])
    func `what is encrypted is decrypted`(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let identity = try AgeKey.identities(in: Array("# made\n\(Self.secret)\n".utf8), of: "keys")
        let sealed = try encrypt(bytes, AgeLock(recipients: [Self.recipient]))
        #expect(try decrypt(sealed, identity) == bytes)
        let phrased = try encrypt(bytes, AgeLock(passphrase: Array("correct horse".utf8), work: 4))
        #expect(try decrypt(phrased, [.passphrase(Array("correct horse".utf8))]) == bytes)
        for keys in [[], [AgeKey.passphrase([1])], identity] {
            #expect { try decrypt(phrased, keys) } throws: { ($0 as? Problem)?.code == .bundleLocked }
        }
    }

    @Test func `what was changed or cut is refused`() throws {
        let identity = try AgeKey.identities(in: Array(Self.secret.utf8), of: "keys")
        let sealed = try encrypt(
            (0..<140_000).map { UInt8(truncatingIfNeeded: $0) }, AgeLock(recipients: [Self.recipient]))
        for place in stride(from: 0, to: sealed.count, by: 1 + sealed.count / 300) {
            var changed = sealed
            changed[place] ^= 1
            #expect(throws: Problem.self, "\(place)") {
                let opened = try decrypt(changed, identity)
                // A changed first line makes it a file that is not encrypted.
                if opened == changed { throw Problem(.bundleInvalid, "", remedy: "") }
            }
        }
        for count in [30, 200, 65_000, sealed.count - 1, sealed.count - 20_000] {
            #expect(throws: Problem.self, "\(count)") { try decrypt(Array(sealed.prefix(count)), identity) }
        }
        #expect(throws: Problem.self) { try decrypt(sealed + [0], identity) }
    }

    /// Two bundles of one lock have one key, and yet no piece of them is sealed under the same one.
    @Test func `what is encrypted twice is never the same`() throws {
        let lock = try AgeLock(passphrase: [1], work: 4)
        let (first, second) = (try encrypt([1, 2, 3], lock), try encrypt([1, 2, 3], lock))
        #expect(first.suffix(19) != second.suffix(19))
        #expect(try decrypt(first, [.passphrase([1])]) == decrypt(second, [.passphrase([1])]))
    }

    @Test func `a work factor that would take for ever is refused`() throws {
        let lock = try encrypt([1], AgeLock(passphrase: [1], work: 4))
        let text = lock.map { Character(UnicodeScalar($0)) }
        let changed = String(text).replacing(" 4\n", with: " 40\n").unicodeScalars.map { UInt8($0.value) }
        #expect(throws: Problem.self) { try decrypt(changed, [.passphrase([1])]) }
    }

    @Test func `keys are read as they are written`() throws {
        let (name, bytes) = try #require(Bech32.decode(Self.recipient))
        #expect(name == "age" && Bech32.encode(name, bytes) == Self.recipient)
        #expect(Bech32.decode(Self.recipient.replacing("age1", with: "age1q")) == nil)
        #expect(throws: Problem.self) { try AgeLock(recipients: ["age1nonsense"]) }
        #expect(throws: Problem.self) { try AgeKey.identities(in: [], of: "keys") }
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8($0 &* 37 & 255) }
            #expect(AgeBase64.decode(AgeBase64.encode(bytes).utf8) == bytes)
        }
        #expect(AgeBase64.decode("AB".utf8) == nil)
    }
}
