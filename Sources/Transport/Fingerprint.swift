internal import Crypto
internal import Diagnostics

/// By what a certificate or a key is recognised: the SHA-256 of its DER.
struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    static let size = 32
    let bytes: [UInt8]

    /// - Parameter der: what is to be recognised.
    init(of der: [UInt8]) { bytes = Array(SHA256.hash(data: der)) }

    /// Reads what ``hex`` has written; nil where it is none.
    init?(hex: some StringProtocol) {
        guard let bytes = Hexadecimal.bytes(String(hex)), bytes.count == Self.size else { return nil }
        self.bytes = bytes
    }

    var hex: String { Hexadecimal.text(bytes) }

    var description: String { hex }
}
