internal import Crypto

/// By what a certificate or a key is recognised: the SHA-256 of its DER.
struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
    static let size = 32
    let bytes: [UInt8]

    /// - Parameter der: what is to be recognised.
    init(of der: [UInt8]) { bytes = Array(SHA256.hash(data: der)) }

    /// Reads what ``hex`` has written; nil where it is none.
    init?(hex: some StringProtocol) {
        let digits = hex.utf8.compactMap { digit -> UInt8? in
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        guard digits.count == 2 * Self.size, hex.utf8.count == digits.count else { return nil }
        bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    var hex: String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    var description: String { hex }
}
