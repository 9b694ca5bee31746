/// Carries arguments that need not be UTF-8 through code that knows only strings, and back without loss.
///
/// A path is bytes to the kernel. Bytes that do not belong to valid UTF-8 become characters of a private-use area
/// (U+F700 + byte); characters of that very area are taken apart into their bytes, so that nothing is ambiguous.
public enum RawArgument {
    private static let base: UInt32 = 0xF700

    /// The text for the bytes of an argument.
    public static func text(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: isCarrier) {
            return text
        }
        var text = String.UnicodeScalarView()
        var rest = bytes[...]
        while let first = rest.first {
            if let scalar = leadingScalar(rest), !isCarrier(scalar) {
                text.append(scalar)
                rest = rest.dropFirst(UTF8.width(scalar))
            } else {
                if let carrier = Unicode.Scalar(base + UInt32(first)) { text.append(carrier) }
                rest = rest.dropFirst()
            }
        }
        return String(text)
    }

    /// The bytes behind a text made by `text(_:)`.
    public static func bytes(_ text: String) -> [UInt8] {
        guard text.unicodeScalars.contains(where: isCarrier) else { return Array(text.utf8) }
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            if isCarrier(scalar) {
                bytes.append(UInt8(scalar.value - base))
            } else {
                bytes.append(contentsOf: String(scalar).utf8)
            }
        }
        return bytes
    }

    private static func isCarrier(_ scalar: Unicode.Scalar) -> Bool { (base...base + 0xff).contains(scalar.value) }

    /// The scalar whose valid encoding the bytes begin with, nil where there is none.
    private static func leadingScalar(_ bytes: ArraySlice<UInt8>) -> Unicode.Scalar? {
        for length in 1...4 where length <= bytes.count {
            if let text = String(validating: bytes.prefix(length), as: UTF8.self) { return text.unicodeScalars.first }
        }
        return nil
    }
}

extension UTF8 {
    fileprivate static func width(_ scalar: Unicode.Scalar) -> Int { String(scalar).utf8.count }
}
