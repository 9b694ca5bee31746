public import ImageMessages

/// The bits of `VmaEntry.status`: what a mapping is. Higher bits are private to a running tool and mean nothing in a
/// file.
public struct MappingStatus: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let regular = MappingStatus(rawValue: 1 << 0)
    public static let stack = MappingStatus(rawValue: 1 << 1)
    public static let vsyscall = MappingStatus(rawValue: 1 << 2)
    public static let vdso = MappingStatus(rawValue: 1 << 3)
    public static let heap = MappingStatus(rawValue: 1 << 5)
    public static let privateFile = MappingStatus(rawValue: 1 << 6)
    public static let sharedFile = MappingStatus(rawValue: 1 << 7)
    public static let sharedAnonymous = MappingStatus(rawValue: 1 << 8)
    public static let privateAnonymous = MappingStatus(rawValue: 1 << 9)
    public static let systemV = MappingStatus(rawValue: 1 << 10)
    public static let socket = MappingStatus(rawValue: 1 << 11)
    public static let vvar = MappingStatus(rawValue: 1 << 12)
    public static let asyncIORing = MappingStatus(rawValue: 1 << 13)
    public static let memfd = MappingStatus(rawValue: 1 << 14)
    public static let shadowStack = MappingStatus(rawValue: 1 << 15)
    public static let guardPages = MappingStatus(rawValue: 1 << 16)

    /// What may stand in a file.
    public static let known = MappingStatus(rawValue: (1 << 17) - 1 & ~(1 << 4))
}

extension VmaEntry {
    /// What the mapping is.
    public var kind: MappingStatus {
        get { MappingStatus(rawValue: status).intersection(.known) }
        set { status = newValue.rawValue }
    }
}
