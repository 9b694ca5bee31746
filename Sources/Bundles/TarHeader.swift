internal import Diagnostics

/// The header of one member of a tar archive: 512 bytes in the format ustar (POSIX.1-1988), as `tar` and every other
/// program for archives reads it. Sizes from 8 GiB on are written in binary, as GNU tar does it.
///
/// Bundles hold files, directories and one kind of symbolic link. All else that tar can say is refused by the reader,
/// among it everything by which a member reaches out of its directory or lies about its size.
struct TarHeader: Equatable {
    static let blockSize = 512

    enum Kind: UInt8 {
        case file = 0x30
        case link = 0x32
        case directory = 0x35
    }

    var kind: Kind
    /// Relative, without `.` and `..`: ``isGood(_:)``.
    var path: String
    /// The text of a symbolic link.
    var target = ""
    /// In bytes; 0 of all that is no file.
    var size: UInt64 = 0
    /// In seconds since 1970.
    var modified: Int64 = 0

    /// Whether it is a relative path of at most 255 bytes of visible ASCII, without empty parts, `.` and `..`.
    static func isGood(_ path: String) -> Bool {
        guard (1...255).contains(path.utf8.count), path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            return false
        }
        return path.utf8.split(separator: 0x2f, omittingEmptySubsequences: false)
            .allSatisfy { !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) }
    }

    /// How many bytes of zeros stand behind a file of this size.
    static func padding(behind size: UInt64) -> Int { Int((512 - size % 512) % 512) }
}

extension TarHeader {
    /// The bytes of the header; nil for a path that ustar has no place for.
    var bytes: [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: Self.blockSize)
        func put(_ text: some Collection<UInt8>, _ offset: Int) {
            bytes.replaceSubrange(offset..<offset + text.count, with: text)
        }
        func octal(_ value: UInt64, _ offset: Int, _ digits: Int) {
            let text = String(value, radix: 8)
            put(Array((String(repeating: "0", count: max(0, digits - text.utf8.count)) + text).utf8), offset)
        }
        guard let (prefix, name) = Self.split(kind == .directory ? path + "/" : path), target.utf8.count <= 100 else {
            return nil
        }
        put(Array(name.utf8), 0)
        octal(kind == .directory ? 0o700 : kind == .link ? 0o777 : 0o600, 100, 7)
        octal(0, 108, 7)
        octal(0, 116, 7)
        if size < 1 << 33 {
            octal(size, 124, 11)
        } else {
            bytes[124] = 0x80
            for index in 0..<8 { bytes[128 + index] = UInt8(truncatingIfNeeded: size >> UInt64(8 * (7 - index))) }
        }
        octal(UInt64(clamping: modified) & 0x1_ffff_ffff, 136, 11)
        bytes[156] = kind.rawValue
        put(Array(target.utf8), 157)
        put(Array("ustar\u{0}00root".utf8), 257)
        put(Array("root".utf8), 297)
        put(Array(prefix.utf8), 345)
        octal(UInt64(Self.checksum(bytes)), 148, 6)
        bytes[155] = 0x20
        return bytes
    }

    /// A path of more than 100 bytes is divided at a slash.
    private static func split(_ path: String) -> (prefix: String, name: String)? {
        if path.utf8.count <= 100 { return ("", path) }
        let bytes = Array(path.utf8)
        for place in bytes.indices.dropLast() where bytes[place] == 0x2f {
            let rest = bytes[(place + 1)...]
            if place <= 155, rest.count <= 100 {
                return (String(decoding: bytes[..<place], as: UTF8.self), String(decoding: rest, as: UTF8.self))
            }
        }
        return nil
    }

    /// The sum of all bytes, those of the sum itself taken as spaces.
    private static func checksum(_ bytes: [UInt8]) -> Int {
        bytes.reduce(0) { $0 + Int($1) } - bytes[148..<156].reduce(0) { $0 + Int($1) } + 8 * 0x20
    }

    /// Reads a header.
    ///
    /// - Returns: nil for a block of zeros, with which an archive ends.
    /// - Throws: `bundle-invalid` for all that a bundle has not.
    static func read(_ bytes: [UInt8]) throws(Problem) -> TarHeader? {
        if bytes.allSatisfy({ $0 == 0 }) { return nil }
        func text(_ offset: Int, _ count: Int) -> String {
            String(decoding: bytes[offset..<offset + count].prefix { $0 != 0 }, as: UTF8.self)
        }
        func octal(_ offset: Int, _ count: Int) -> UInt64? {
            let digits = bytes[offset..<offset + count].prefix { $0 != 0 && $0 != 0x20 }
            guard digits.allSatisfy({ (0x30...0x37).contains($0) }) else { return nil }
            return UInt64(String(decoding: digits, as: UTF8.self), radix: 8)
        }
        guard bytes.count == blockSize, bytes[257..<263].elementsEqual("ustar\u{0}".utf8),
            let sum = octal(148, 8), sum == UInt64(checksum(bytes))
        else { throw .invalid("this is no bundle, or its content is damaged: a member has no good header") }
        var path = text(0, 100)
        let prefix = text(345, 155)
        if !prefix.isEmpty { path = prefix + "/" + path }
        guard let kind = Kind(rawValue: bytes[156]) else {
            throw .invalid("a member is of a kind that no bundle has (\(bytes[156]))", at: path.printable)
        }
        if kind == .directory, path.hasSuffix("/") { path.removeLast() }
        guard isGood(path) else { throw .invalid("a member has a name that no image has", at: path.printable) }
        let size = bytes[124] == 0x80 ? binary(bytes[125..<136]) : octal(124, 12)
        guard let size, size <= UInt64(Int64.max), kind == .file || size == 0 else {
            throw .invalid("a member has a size that cannot be", at: path)
        }
        return TarHeader(
            kind: kind, path: path, target: kind == .link ? text(157, 100) : "", size: size,
            modified: Int64(octal(136, 12) ?? 0))
    }

    private static func binary(_ bytes: ArraySlice<UInt8>) -> UInt64? {
        guard bytes.prefix(3).allSatisfy({ $0 == 0 }) else { return nil }
        return bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
