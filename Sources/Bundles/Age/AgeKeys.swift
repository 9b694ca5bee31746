public import Diagnostics

/// Who can read what is encrypted (`--encrypt-to`, `--passphrase-file`).
///
/// It holds a key of its own and the ways to it. They are made with it, as a passphrase takes about a second of work and
/// no tree is to stand still for that.
public struct AgeLock: Sendable {
    /// The key of the file: 16 random bytes.
    let fileKey: [UInt8]
    /// One way to it for each recipient, or the one by a passphrase.
    let stanzas: [AgeFormat.Stanza]

    /// - Parameter recipients: public keys as age writes them, `age1...`.
    /// - Throws: `bundle-key`.
    public init(recipients: [String]) throws(Problem) {
        let fileKey = AgeFormat.random(16)
        stanzas = try recipients.map { text throws(Problem) in
            guard let (name, bytes) = Bech32.decode(text), name == "age", bytes.count == 32 else {
                throw Problem(
                    .bundleKey, "\"\(text.printable)\" is no recipient of age",
                    remedy: "Give the public key that age-keygen prints, which begins with age1")
            }
            return try X25519Stanza.wrap(fileKey, for: bytes)
        }
        self.fileKey = fileKey
    }

    /// - Parameter passphrase: not empty.
    /// - Throws: `bundle-key`.
    public init(passphrase: [UInt8]) throws(Problem) {
        try self.init(passphrase: passphrase, work: AgeFormat.usualWork)
    }

    /// - Parameter work: the logarithm of the rounds that each trial of a passphrase takes.
    init(passphrase: [UInt8], work: Int) throws(Problem) {
        fileKey = AgeFormat.random(16)
        stanzas = [try ScryptStanza.wrap(fileKey, by: passphrase, work: work)]
    }
}

/// What opens an encrypted bundle (`--identity`, `--passphrase-file`).
public enum AgeKey: Sendable {
    /// A private key of X25519.
    case identity([UInt8])
    case passphrase([UInt8])

    /// The keys in a file as age-keygen(1) writes it: `AGE-SECRET-KEY-1...`, one a line, and comments.
    ///
    /// - Throws: `bundle-key`.
    public static func identities(in text: [UInt8], of path: String) throws(Problem) -> [AgeKey] {
        var keys: [AgeKey] = []
        for line in text.split(separator: 0x0a) {
            let line = String(decoding: line, as: UTF8.self).trimmingBlanks
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let (name, bytes) = Bech32.decode(line), name == "age-secret-key-", bytes.count == 32 else {
                throw Problem(
                    .bundleKey, "the file has a line that is no key of age", object: .init(path: path),
                    remedy: "Give a file that age-keygen has written")
            }
            keys.append(.identity(bytes))
        }
        if keys.isEmpty {
            throw Problem(
                .bundleKey, "there is no key in the file", object: .init(path: path),
                remedy: "Give a file that age-keygen has written")
        }
        return keys
    }

    /// The passphrase in a file: its first line.
    ///
    /// - Throws: `bundle-key` where it is empty.
    public static func passphrase(in text: [UInt8], of path: String) throws(Problem) -> [UInt8] {
        var line = Array(text.prefix { $0 != 0x0a })
        if line.last == 0x0d { line.removeLast() }
        if line.isEmpty {
            throw Problem(
                .bundleKey, "there is no passphrase in the file", object: .init(path: path),
                remedy: "Write the passphrase as its first line")
        }
        return line
    }
}

extension String {
    fileprivate var trimmingBlanks: String {
        String(self.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
