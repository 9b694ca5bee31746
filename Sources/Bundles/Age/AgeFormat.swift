internal import Crypto
internal import CryptoExtras
internal import Diagnostics

// The format of age, version 1 (https://age-encryption.org/v1, C2SP): a header in text that has the key of the file,
// wrapped for each recipient, and a body of pieces of 64 KiB, each sealed by ChaCha20-Poly1305.

/// The header of a file of age.
enum AgeFormat {
    static let magic = "age-encryption.org/v1"
    /// What is asked of whoever tries passphrases: 2^18 rounds of scrypt, as age itself takes.
    static let usualWork = 18
    /// More than this would take minutes and gigabytes, for a file from anybody.
    static let mostWork = 22
    /// A header is not longer than this here; one recipient takes a hundred bytes.
    static let longestHeader = 1 << 20

    /// One way to the key of the file.
    struct Stanza: Equatable, Sendable {
        var arguments: [String]
        var body: [UInt8]

        var text: String {
            let base64 = Array(AgeBase64.encode(body).utf8)
            var lines = stride(from: 0, to: base64.count, by: 64).map {
                String(decoding: base64[$0..<min($0 + 64, base64.count)], as: UTF8.self)
            }
            // The last line is always a short one, be it empty.
            if base64.count % 64 == 0 { lines.append("") }
            return "-> " + arguments.joined(separator: " ") + "\n" + lines.map { $0 + "\n" }.joined()
        }
    }

    /// The source itself, or what it holds if it is encrypted.
    ///
    /// - Throws: `bundle-locked` where no key fits, `bundle-invalid`, `bundle-truncated`.
    static func source(of source: PeekedSource, keys: [AgeKey]) throws(Problem) -> any ByteSource {
        let start = try source.first(32)
        if start.starts(with: "-----BEGIN AGE".utf8) {
            throw .invalid("the bundle is encrypted and armoured as text, which is not read: take the armour off")
        }
        guard start.starts(with: (magic + "\n").utf8) else { return source }
        return try AgeSource(ByteCursor(source), keys: keys)
    }

    /// A stage that encrypts.
    static func sink(for lock: AgeLock, into next: any ByteSink) throws(Problem) -> any ByteSink {
        let header = magic + "\n" + lock.stanzas.map(\.text).joined() + "---"
        let mac = Array(authentication(of: header, lock.fileKey))
        let nonce = random(16)
        try next.write(Array("\(header) \(AgeBase64.encode(mac))\n".utf8) + nonce)
        return AgeSink(key: payloadKey(lock.fileKey, nonce: nonce), into: next)
    }

    static func authentication(of header: String, _ fileKey: [UInt8]) -> HMAC<SHA256>.MAC {
        let key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: .init(data: fileKey), info: Array("header".utf8), outputByteCount: 32)
        return HMAC<SHA256>.authenticationCode(for: Array(header.utf8), using: key)
    }

    static func payloadKey(_ fileKey: [UInt8], nonce: [UInt8]) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: .init(data: fileKey), salt: nonce, info: Array("payload".utf8), outputByteCount: 32)
    }

    static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// Seals the key of a file under a key that is used for nothing else, so that the nonce may be zero.
    static func wrap(_ fileKey: [UInt8], under key: SymmetricKey) throws(Problem) -> [UInt8] {
        do {
            let box = try ChaChaPoly.seal(fileKey, using: key, nonce: .init(data: [UInt8](repeating: 0, count: 12)))
            return Array(box.ciphertext) + Array(box.tag)
        } catch {
            throw Problem(.bundleKey, "the bundle cannot be encrypted (\(error))", remedy: "Please report it")
        }
    }

    /// The other way round; nil where the key is another.
    static func unwrap(_ body: [UInt8], under key: SymmetricKey) -> [UInt8]? {
        guard body.count == 32,
            let nonce = try? ChaChaPoly.Nonce(data: [UInt8](repeating: 0, count: 12)),
            let box = try? ChaChaPoly.SealedBox(nonce: nonce, ciphertext: body.prefix(16), tag: body.suffix(16)),
            let opened = try? ChaChaPoly.open(box, using: key)
        else { return nil }
        return Array(opened)
    }
}

extension AgeLock {
    func sink(into next: any ByteSink) throws(Problem) -> any ByteSink { try AgeFormat.sink(for: self, into: next) }
}

/// The key of the file for the owner of a key pair.
enum X25519Stanza {
    static let name = "X25519"

    static func wrap(_ fileKey: [UInt8], for recipient: [UInt8]) throws(Problem) -> AgeFormat.Stanza {
        let own = Curve25519.KeyAgreement.PrivateKey()
        let share = Array(own.publicKey.rawRepresentation)
        guard let key = key(own, with: recipient, salt: share + recipient) else {
            throw Problem(
                .bundleKey, "a recipient is a key that nobody can have",
                remedy: "Give the public key that age-keygen prints")
        }
        return .init(
            arguments: [name, AgeBase64.encode(share)], body: try AgeFormat.wrap(fileKey, under: key))
    }

    static func unwrap(_ stanza: AgeFormat.Stanza, by identity: [UInt8]) -> [UInt8]? {
        guard stanza.arguments.count == 2, stanza.arguments[0] == name,
            let share = AgeBase64.decode(stanza.arguments[1].utf8), share.count == 32,
            let own = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: identity),
            let key = key(own, with: share, salt: share + Array(own.publicKey.rawRepresentation))
        else { return nil }
        return AgeFormat.unwrap(stanza.body, under: key)
    }

    private static func key(
        _ own: Curve25519.KeyAgreement.PrivateKey, with other: [UInt8], salt: [UInt8]
    ) -> SymmetricKey? {
        guard let other = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: other),
            let secret = try? own.sharedSecretFromKeyAgreement(with: other),
            // A point of small order: the secret would be known to everybody.
            unsafe secret.withUnsafeBytes({ unsafe $0.contains { $0 != 0 } })
        else { return nil }
        return secret.hkdfDerivedSymmetricKey(
            using: SHA256.self, salt: salt, sharedInfo: Array("\(AgeFormat.magic)/\(name)".utf8), outputByteCount: 32)
    }
}

/// The key of the file for whoever knows a passphrase.
enum ScryptStanza {
    static let name = "scrypt"

    static func wrap(_ fileKey: [UInt8], by phrase: [UInt8], work: Int) throws(Problem) -> AgeFormat.Stanza {
        let salt = AgeFormat.random(16)
        return .init(
            arguments: [name, AgeBase64.encode(salt), String(work)],
            body: try AgeFormat.wrap(fileKey, under: try key(phrase, salt, work)))
    }

    static func unwrap(_ stanza: AgeFormat.Stanza, by phrase: [UInt8]) throws(Problem) -> [UInt8]? {
        guard stanza.arguments.count == 3, stanza.arguments[0] == name,
            let salt = AgeBase64.decode(stanza.arguments[1].utf8), salt.count == 16,
            let work = Int(stanza.arguments[2]), String(work) == stanza.arguments[2], work > 0
        else { throw .invalid("the bundle is encrypted in a way that age does not know") }
        guard work <= AgeFormat.mostWork else {
            throw .invalid("to try a passphrase on this bundle would take longer than is reasonable (2^\(work) rounds)")
        }
        return AgeFormat.unwrap(stanza.body, under: try key(phrase, salt, work))
    }

    private static func key(_ phrase: [UInt8], _ salt: [UInt8], _ work: Int) throws(Problem) -> SymmetricKey {
        do {
            return try KDF.Scrypt.deriveKey(
                from: phrase, salt: Array("\(AgeFormat.magic)/\(name)".utf8) + salt, outputByteCount: 32,
                rounds: 1 << work, blockSize: 8, parallelism: 1)
        } catch {
            throw Problem(
                .bundleKey, "the passphrase cannot be tried (\(error))",
                remedy: "It takes a few hundred megabytes of memory")
        }
    }
}
