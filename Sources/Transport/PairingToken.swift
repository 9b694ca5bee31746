internal import Crypto
public import Diagnostics

/// What pairs two hosts, once: by what the one that prints it is recognised, and a secret by which it recognises the other.
///
/// The secret is the key with which the other side signs its first handshake, so that without it nobody gets further than that.
public struct PairingToken: Sendable, Equatable {
    /// The first half of the fingerprint of the certificate of the host that has printed it.
    let fingerprint: [UInt8]
    let secret: [UInt8]

    private static let half = 16
    private static let version: UInt8 = 1
    private static let prefix = "apus"
    /// So many bytes tell a token from one that was copied by half.
    private static let checkSize = 3
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    /// A new one.
    init(for certificate: Fingerprint) {
        var random = SystemRandomNumberGenerator()
        fingerprint = Array(certificate.bytes.prefix(Self.half))
        secret = (0..<Self.half).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    /// Reads one.
    ///
    /// - Throws: `bad-token`.
    public init(_ text: String) throws(Problem) {
        let word = text.split(whereSeparator: \.isWhitespace).first.map { $0.lowercased() } ?? ""
        let bytes = word.hasPrefix(Self.prefix) ? Self.bytes(of: word.utf8.dropFirst(Self.prefix.utf8.count)) : nil
        guard let bytes, bytes.count == 1 + 2 * Self.half + Self.checkSize, bytes[0] == Self.version,
            Self.check(bytes.dropLast(Self.checkSize)) == Array(bytes.suffix(Self.checkSize))
        else {
            throw Problem(
                .badToken, word.isEmpty ? "there is no token" : "that is not a token, or not the whole of it",
                remedy: "Copy the line that `apus receive --init` has printed on the other host")
        }
        fingerprint = Array(bytes[1...Self.half])
        secret = Array(bytes[(1 + Self.half)...].prefix(Self.half))
    }

    /// The token as it is printed: one word of letters and digits.
    public var text: String {
        let bytes = [Self.version] + fingerprint + secret
        let all = bytes + Self.check(bytes)
        var (buffer, bits, letters): (UInt32, UInt32, [UInt8]) = (0, 0, [])
        for byte in all {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 5 {
                bits -= 5
                letters.append(Self.alphabet[Int(buffer >> bits & 31)])
            }
        }
        if bits > 0 { letters.append(Self.alphabet[Int(buffer << (5 - bits) & 31)]) }
        return Self.prefix + String(decoding: letters, as: UTF8.self)
    }

    private static func bytes(of letters: some Collection<UInt8>) -> [UInt8]? {
        var (buffer, bits, bytes): (UInt32, UInt32, [UInt8]) = (0, 0, [])
        for letter in letters {
            guard let value = alphabet.firstIndex(of: letter) else { return nil }
            buffer = buffer << 5 | UInt32(value)
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: buffer >> bits))
            }
        }
        return bytes
    }

    private static func check(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        Array(SHA256.hash(data: Array(bytes)).prefix(checkSize))
    }

    /// The key that the secret stands for.
    var key: P256.Signing.PrivateKey {
        get throws {
            // Hardly any number of 32 bytes is not a key of this curve, but some are.
            for attempt in UInt8(0)...255 {
                let bytes = HKDF<SHA256>.deriveKey(
                    inputKeyMaterial: SymmetricKey(data: secret),
                    info: Array("apus pairing".utf8) + [attempt], outputByteCount: 32)
                // unsafe: the key lends its bytes for the call.
                let key = unsafe bytes.withUnsafeBytes { unsafe try? P256.Signing.PrivateKey(rawRepresentation: $0) }
                if let key { return key }
            }
            throw CryptoKitError.incorrectKeySize
        }
    }

    /// Whether a certificate is that of the host that has printed it.
    func means(_ certificate: Fingerprint) -> Bool { Array(certificate.bytes.prefix(Self.half)) == fingerprint }
}
