/// Base64 (RFC 4648) without padding and in its one canonical form, as age's headers have it.
enum AgeBase64 {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var (held, bits) = (0, 0)
        var text: [UInt8] = []
        for byte in bytes {
            held = (held << 8 | Int(byte)) & 0xffff
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(letters[held >> bits & 63])
            }
        }
        if bits > 0 { text.append(letters[held << (6 - bits) & 63]) }
        return String(decoding: text, as: UTF8.self)
    }

    static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var (held, bits) = (0, 0)
        var bytes: [UInt8] = []
        for letter in text {
            guard let value = letters.firstIndex(of: letter) else { return nil }
            held = (held << 6 | value) & 0xffff
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(held >> bits & 255))
            }
        }
        return bits < 6 && held & (1 << bits - 1) == 0 ? bytes : nil
    }
}
