internal import Crypto
internal import Diagnostics
internal import Linux
internal import NIOSSL

/// A key and the certificate that it has signed for itself: what one side of a connection shows.
struct Credentials: Sendable {
    let key: P256.Signing.PrivateKey
    /// The certificate.
    let der: [UInt8]
    /// When it counts.
    let validity: Validity

    var fingerprint: Fingerprint { Fingerprint(of: der) }

    /// - Throws: an error of NIOSSL's where that is no certificate.
    init(key: P256.Signing.PrivateKey, der: [UInt8]) throws {
        self.key = key
        self.der = der
        validity = Validity(try NIOSSLCertificate(bytes: der, format: .der))
    }

    /// New ones.
    ///
    /// - Parameters:
    ///   - key: the key; a new one if none is given.
    ///   - validity: from when to when the certificate counts, in seconds of real time.
    init(key: P256.Signing.PrivateKey = .init(), name: String, validity: ClosedRange<Int64>) throws {
        try self.init(key: key, der: CertificateText(signedBy: key, name: name, validity: validity).der)
    }

    /// For what a host shows once: enough that clocks may differ.
    static func shortLived(key: P256.Signing.PrivateKey, name: String) throws -> Self {
        let (day, now): (Int64, Int64) = (86400, Validity.now)
        return try Self(key: key, name: name, validity: now - 7 * day...now + 7 * day)
    }
}

/// When a certificate counts.
struct Validity: Sendable {
    let from: Int64
    let until: Int64

    init(_ certificate: NIOSSLCertificate) {
        from = Int64(certificate.notValidBefore)
        until = Int64(certificate.notValidAfter)
    }

    /// Seconds of real time.
    static var now: Int64 { Int64(SystemClock.realTime.now / 1_000_000_000) }

    /// It counts no more.
    var isOver: Bool { Self.now > until }
    /// It does not count yet.
    var isYetToCome: Bool { Self.now < from }
}
