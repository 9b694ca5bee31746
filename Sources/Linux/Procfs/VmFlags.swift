/// The flags of a mapping as `VmFlags` of `/proc/PID/smaps` names them (proc_pid_smaps(5)).
public struct VmFlags: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static let readable = VmFlags(rawValue: 1 << 0)
    public static let writable = VmFlags(rawValue: 1 << 1)
    public static let executable = VmFlags(rawValue: 1 << 2)
    public static let shared = VmFlags(rawValue: 1 << 3)
    public static let mayRead = VmFlags(rawValue: 1 << 4)
    public static let mayWrite = VmFlags(rawValue: 1 << 5)
    public static let mayExecute = VmFlags(rawValue: 1 << 6)
    public static let mayShare = VmFlags(rawValue: 1 << 7)
    /// MAP_GROWSDOWN.
    public static let growsDown = VmFlags(rawValue: 1 << 8)
    /// Page frames without pages behind them: device memory, vvar.
    public static let pageFrames = VmFlags(rawValue: 1 << 9)
    /// MAP_DENYWRITE, of older kernels.
    public static let denyWrite = VmFlags(rawValue: 1 << 10)
    /// mlock(2).
    public static let locked = VmFlags(rawValue: 1 << 11)
    /// Memory of a device.
    public static let io = VmFlags(rawValue: 1 << 12)
    /// MADV_SEQUENTIAL.
    public static let sequential = VmFlags(rawValue: 1 << 13)
    /// MADV_RANDOM.
    public static let random = VmFlags(rawValue: 1 << 14)
    /// MADV_DONTFORK.
    public static let dontFork = VmFlags(rawValue: 1 << 15)
    public static let dontExpand = VmFlags(rawValue: 1 << 16)
    /// MLOCK_ONFAULT.
    public static let lockOnFault = VmFlags(rawValue: 1 << 17)
    /// Counted against the overcommit limit.
    public static let accounted = VmFlags(rawValue: 1 << 18)
    /// MAP_NORESERVE.
    public static let noReserve = VmFlags(rawValue: 1 << 19)
    /// Pages of hugetlbfs.
    public static let hugeTLB = VmFlags(rawValue: 1 << 20)
    /// MAP_SYNC.
    public static let synchronous = VmFlags(rawValue: 1 << 21)
    /// Of the architecture (x86: PAT).
    public static let architecture = VmFlags(rawValue: 1 << 22)
    /// MADV_WIPEONFORK.
    public static let wipeOnFork = VmFlags(rawValue: 1 << 23)
    /// MADV_DONTDUMP.
    public static let dontDump = VmFlags(rawValue: 1 << 24)
    public static let softDirty = VmFlags(rawValue: 1 << 25)
    /// Pages and bare page frames together.
    public static let mixed = VmFlags(rawValue: 1 << 26)
    /// MADV_HUGEPAGE.
    public static let hugePages = VmFlags(rawValue: 1 << 27)
    /// MADV_NOHUGEPAGE.
    public static let noHugePages = VmFlags(rawValue: 1 << 28)
    /// MADV_MERGEABLE.
    public static let mergeable = VmFlags(rawValue: 1 << 29)
    /// Registered with userfaultfd: missing pages.
    public static let faultMissing = VmFlags(rawValue: 1 << 30)
    /// Registered with userfaultfd: write protection.
    public static let faultWriteProtected = VmFlags(rawValue: 1 << 31)
    /// Registered with userfaultfd: minor faults.
    public static let faultMinor = VmFlags(rawValue: 1 << 32)
    public static let shadowStack = VmFlags(rawValue: 1 << 33)
    /// mseal(2).
    public static let sealed = VmFlags(rawValue: 1 << 34)
    /// MAP_DROPPABLE.
    public static let droppable = VmFlags(rawValue: 1 << 35)
    /// arm64: branch targets are checked.
    public static let branchTargets = VmFlags(rawValue: 1 << 36)
    /// arm64: memory tagging.
    public static let memoryTags = VmFlags(rawValue: 1 << 37)
    /// Guard pages may lie within (MADV_GUARD_INSTALL), since Linux 6.19.
    public static let maybeGuard = VmFlags(rawValue: 1 << 38)
    /// Remapped by remap_file_pages(2), of older kernels.
    public static let nonlinear = VmFlags(rawValue: 1 << 39)

    /// The two letters of each flag, as the kernel writes them.
    public static let codes: [(code: String, flag: VmFlags)] = [
        ("rd", .readable), ("wr", .writable), ("ex", .executable), ("sh", .shared), ("mr", .mayRead),
        ("mw", .mayWrite), ("me", .mayExecute), ("ms", .mayShare), ("gd", .growsDown), ("pf", .pageFrames),
        ("dw", .denyWrite), ("lo", .locked), ("io", .io), ("sr", .sequential), ("rr", .random), ("dc", .dontFork),
        ("de", .dontExpand), ("lf", .lockOnFault), ("ac", .accounted), ("nr", .noReserve), ("ht", .hugeTLB),
        ("sf", .synchronous), ("ar", .architecture), ("wf", .wipeOnFork), ("dd", .dontDump), ("sd", .softDirty),
        ("mm", .mixed), ("hg", .hugePages), ("nh", .noHugePages), ("mg", .mergeable), ("um", .faultMissing),
        ("uw", .faultWriteProtected), ("ui", .faultMinor), ("ss", .shadowStack), ("sl", .sealed),
        ("dp", .droppable), ("bt", .branchTargets), ("mt", .memoryTags), ("gu", .maybeGuard), ("nl", .nonlinear),
    ]

    /// By the two letters, both of a to z; no flag for a code that is not there.
    private static let byCode: [VmFlags] = {
        var table = [VmFlags](repeating: [], count: 26 * 26)
        for (code, flag) in codes {
            if let place = place(of: Array(code.utf8)[...]) { table[place] = flag }
        }
        return table
    }()

    private static func place(of code: ArraySlice<UInt8>) -> Int? {
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        guard code.count == 2, let first = code.first, let last = code.last, letters.contains(first),
            letters.contains(last)
        else { return nil }
        return Int(first - letters.lowerBound) * 26 + Int(last - letters.lowerBound)
    }

    /// The flag of a two-letter code; nil for a code that this table lacks.
    init?(code: ArraySlice<UInt8>) {
        guard let place = Self.place(of: code), !Self.byCode[place].isEmpty else { return nil }
        self = Self.byCode[place]
    }
}
