internal import Crypto
internal import Glibc

/// A certificate that a key signs for itself (RFC 5280), in DER. Nobody follows a chain of them: a host is recognised by the
/// certificate as a whole.
struct CertificateText {
    let der: [UInt8]

    /// - Parameters:
    ///   - key: signs it, and is what it is about.
    ///   - name: how the host is called, for people who look at it.
    ///   - validity: from when to when, in seconds of real time.
    init(signedBy key: P256.Signing.PrivateKey, name: String, validity: ClosedRange<Int64>) throws {
        let ecdsaWithSHA256: [UInt8] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]
        let algorithm = Self.sequence(ecdsaWithSHA256)
        let commonName: [UInt8] = [0x06, 0x03, 0x55, 0x04, 0x03]
        let subject = Self.sequence(
            Self.element(0x31, Self.sequence(commonName + Self.element(0x0c, Array(name.utf8)))))
        var random = SystemRandomNumberGenerator()
        // Positive, and of nine bytes at the most.
        let serial = Self.element(0x02, [0x01] + (0..<8).map { _ in UInt8.random(in: 0...255, using: &random) })
        let version3 = Self.element(0xa0, [0x02, 0x01, 0x02])
        let times = Self.sequence(Self.time(validity.lowerBound) + Self.time(validity.upperBound))
        let content = Self.sequence(
            version3 + serial + algorithm + subject + times + subject + Array(key.publicKey.derRepresentation))
        let signature = Array(try key.signature(for: content).derRepresentation)
        der = Self.sequence(content + algorithm + Self.element(0x03, [0x00] + signature))
    }

    private static func sequence(_ content: [UInt8]) -> [UInt8] { element(0x30, content) }

    /// A tag, a length and what it is the length of (X.690).
    private static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        guard content.count >= 0x80 else { return [tag, UInt8(content.count)] + content }
        var length: [UInt8] = []
        var rest = content.count
        while rest > 0 {
            length.insert(UInt8(truncatingIfNeeded: rest), at: 0)
            rest >>= 8
        }
        return [tag, 0x80 | UInt8(length.count)] + length + content
    }

    /// Two digits for the year until 2049, four from then on.
    private static func time(_ seconds: Int64) -> [UInt8] {
        var time = time_t(seconds)
        // unsafe: pointers to locals; the structure has one to the name of the time zone, which is not asked for.
        var parts = unsafe tm()
        _ = unsafe gmtime_r(&time, &parts)
        let year = Int(unsafe parts.tm_year) + 1900
        let rest = unsafe [parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec].map {
            ($0 < 10 ? "0" : "") + String($0)
        }
        let isShort = (1950..<2050).contains(year)
        let digits = isShort ? String(String(year).suffix(2)) : String(year)
        return element(isShort ? 0x17 : 0x18, Array((digits + rest.joined() + "Z").utf8))
    }
}
