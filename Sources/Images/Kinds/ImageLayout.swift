/// How the files of one kind of image are named and begin.
public struct ImageLayout: Sendable, Hashable {
    /// The name of the kind in the format: `CORE`.
    public let kind: String
    /// The file name before the id, or the whole of it.
    public let prefix: String
    /// The file name after the id.
    public let suffix: String
    /// How the id in the name is written.
    public let numbering: Numbering
    /// What stands before the first frame.
    public let header: Header

    /// The id in a file name.
    public enum Numbering: Sendable, Hashable {
        /// There is one such file in a directory.
        case none
        /// A pid, a pages id, a namespace id or a shared memory id.
        case decimal
        case hexadecimal
    }

    /// The words at the start of a file.
    public enum Header: Sendable, Hashable {
        /// The word that all images share, then the kind's own.
        case common(UInt32)
        /// The kind's own word alone: the inventory.
        case own(UInt32)
        /// The word that all service files share, then the kind's own: statistics.
        case service(UInt32)
        /// The word that all images share, then one that is not held against anything.
        case unknown
        /// No header and no frames.
        case raw
    }

    static let commonMagic: UInt32 = 0x5456_4319
    static let serviceMagic: UInt32 = 0x5510_5940

    /// - Parameter pattern: the file name, with `%u` or `%x` in place of the id.
    init(_ kind: String, _ pattern: String, _ header: Header) {
        self.kind = kind
        self.header = header
        let bytes = Array(pattern.utf8)
        guard let percent = bytes.firstIndex(of: UInt8(ascii: "%")) else {
            prefix = pattern
            suffix = ""
            numbering = .none
            return
        }
        prefix = String(decoding: bytes[..<percent], as: UTF8.self)
        suffix = String(decoding: bytes[(percent + 2)...], as: UTF8.self)
        numbering = bytes[percent + 1] == UInt8(ascii: "x") ? .hexadecimal : .decimal
    }

    /// The name of the file with this id, which a kind with one file ignores.
    public func fileName(id: UInt64 = 0) -> String {
        switch numbering {
        case .none: prefix
        case .decimal: prefix + String(id) + suffix
        case .hexadecimal: prefix + String(id, radix: 16) + suffix
        }
    }

    /// The id in a file name of this kind, 0 where there is one file; nil for a file of another kind.
    public func id(inFileName name: String) -> UInt64? {
        guard numbering != .none else { return name == prefix ? 0 : nil }
        guard name.hasPrefix(prefix), name.hasSuffix(suffix), name.utf8.count > prefix.utf8.count + suffix.utf8.count
        else { return nil }
        let digits = name.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
        let id = UInt64(String(digits) ?? "", radix: numbering == .hexadecimal ? 16 : 10)
        // The one spelling only: no sign, no leading zero.
        guard let id, fileName(id: id) == name else { return nil }
        return id
    }

    /// Whether the file is frames behind a header.
    public var isFramed: Bool { header != .raw }

    /// Page maps have one message of another type before the entries.
    var beginsWithPageHead: Bool { prefix.hasPrefix("pagemap-") }

    /// The header as words.
    var magics: [UInt32] {
        switch header {
        case .common(let own): [Self.commonMagic, own]
        case .own(let own): [own]
        case .service(let own): [Self.serviceMagic, own]
        case .unknown: [Self.commonMagic]
        case .raw: []
        }
    }
}
