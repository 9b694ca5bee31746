public import Images
public import Linux

/// The message for a mapping.
public enum MemoryImage {
    /// Bits of `VmaEntry.status`.
    public struct Status: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let regular = Status(rawValue: 1 << 0)
        public static let vsyscall = Status(rawValue: 1 << 2)
        public static let vdso = Status(rawValue: 1 << 3)
        public static let heap = Status(rawValue: 1 << 5)
        public static let privateFile = Status(rawValue: 1 << 6)
        public static let sharedFile = Status(rawValue: 1 << 7)
        public static let sharedAnonymous = Status(rawValue: 1 << 8)
        public static let privateAnonymous = Status(rawValue: 1 << 9)
        public static let systemV = Status(rawValue: 1 << 10)
        public static let socket = Status(rawValue: 1 << 11)
        public static let vvar = Status(rawValue: 1 << 12)
        public static let asyncIORing = Status(rawValue: 1 << 13)
        public static let memfd = Status(rawValue: 1 << 14)
    }

    /// MAP_* of mmap(2).
    private static let (shared, privately, anonymous): (UInt32, UInt32, UInt32) = (0x1, 0x2, 0x20)
    private static let (growsDown, locked, noReserve): (UInt32, UInt32, UInt32) = (0x100, 0x2000, 0x4000)
    /// MAP_HUGETLB; the binary logarithm of the size of a page stands from bit 26 on.
    private static let (hugePages, hugeShift): (UInt32, UInt32) = (0x40000, 26)

    /// Advice that shows in the flags of a mapping, by the number that madvise(2) gives it: a bit each.
    private static let advice: [(VmFlags, UInt64)] = [
        (.random, 1), (.sequential, 2), (.dontFork, 10), (.mergeable, 12), (.hugePages, 14), (.noHugePages, 15),
        (.dontDump, 16), (.wipeOnFork, 18),
    ]

    /// The message.
    ///
    /// - Parameter file: the id of the description that it maps, 0 for none.
    public static func entry(_ area: MappedArea, _ kind: AreaKind, file: UInt32) -> VmaEntry {
        let vmFlags = area.details?.flags ?? []
        var entry = VmaEntry()
        entry.start = area.range.lowerBound
        entry.end = area.range.upperBound
        entry.pgoff = hasFile(kind) ? area.offset : 0
        entry.shmid = UInt64(file)
        entry.prot = UInt32(area.protection.rawValue)
        entry.flags = area.isShared ? shared : privately
        if !hasFile(kind) { entry.flags |= anonymous }
        if vmFlags.contains(.growsDown) { entry.flags |= growsDown }
        if vmFlags.contains(.locked) { entry.flags |= locked }
        if vmFlags.contains(.noReserve) { entry.flags |= noReserve }
        if vmFlags.contains(.hugeTLB), !hasFile(kind), let size = area.details?.pageSize {
            entry.flags |= hugePages | UInt32(size.trailingZeroBitCount) << hugeShift
        }
        entry.status = status(area, kind).rawValue
        entry.fd = -1
        let advised = advice.reduce(UInt64(0)) { vmFlags.contains($1.0) ? $0 | 1 << $1.1 : $0 }
        if advised != 0 { entry.madv = advised }
        if hasFile(kind) {
            // What the program may ever do with the mapping tells how the file was opened: O_RDWR is 2.
            entry.fdflags = area.isShared && vmFlags.contains(.mayWrite) ? 2 : 0
        }
        if kind == .systemV {
            entry.shmid = area.inode
            entry.pgoff = area.offset
            entry.fdflags = vmFlags.contains(.mayWrite) ? 2 : 0
        }
        return entry
    }

    static func hasFile(_ kind: AreaKind) -> Bool {
        switch kind {
        case .privateFile, .sharedFile, .sharedMemory, .requestRing, .packetRing: true
        case .privateAnonymous, .heap, .vdso, .vvar, .vsyscall, .systemV, .asyncIO: false
        }
    }

    private static func status(_ area: MappedArea, _ kind: AreaKind) -> Status {
        switch kind {
        case .privateAnonymous: [.regular, .privateAnonymous]
        case .heap: [.regular, .heap, .privateAnonymous]
        case .privateFile: [.regular, .privateFile]
        case .sharedFile, .requestRing: [.regular, .sharedFile]
        case .packetRing: [.regular, .socket]
        case .sharedMemory: [.regular, area.isShared ? .sharedFile : .privateFile, .memfd]
        case .systemV: [.regular, .sharedAnonymous, .systemV]
        case .asyncIO: [.regular, .asyncIORing]
        case .vdso: [.regular, .vdso, .privateAnonymous]
        case .vvar: [.regular, .privateAnonymous, .vvar]
        case .vsyscall: [.vsyscall, .privateAnonymous]
        }
    }

    /// Joins the two halves that vvar has had since Linux 6.13: one mapping to everybody else.
    public static func joined(_ entries: [VmaEntry]) -> [VmaEntry] {
        var result: [VmaEntry] = []
        for entry in entries {
            let isVvar = entry.status & Status.vvar.rawValue != 0
            if isVvar, let last = result.last, last.status == entry.status, last.end == entry.start {
                result[result.count - 1].end = entry.end
            } else {
                result.append(entry)
            }
        }
        return result
    }
}
