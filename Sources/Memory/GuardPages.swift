public import Diagnostics
internal import Images
public import Linux
internal import SystemPackage
internal import Tracing

/// Guards within mappings (MADV_GUARD_INSTALL of madvise(2), since Linux 6.13), as the C library puts them below the
/// stacks of threads.
public enum GuardPages {
    /// All guards of a frozen process, in the order of their addresses.
    ///
    /// Only the page tables know them; where the kernel does not tell them (before 6.15), there are none to be found. A
    /// kernel without PAGEMAP_SCAN has none, and to read a word for each page between the first mapping and the last would
    /// take for ever.
    ///
    /// - Parameters:
    ///   - looks: at some of the mappings, by their addresses.
    ///   - useScan: false for what happens on a kernel without PAGEMAP_SCAN.
    public static func find(
        _ pid: Int32, _ areas: [(area: MappedArea, kind: AreaKind)], looks: [UInt64: PageLook] = [:],
        useScan: Bool = PageMap.scansIfPossible
    ) throws(Problem) -> [Range<UInt64>] {
        var found: [Range<UInt64>] = []
        let own = areas.filter { canHaveSome($0.kind) }.map(\.area.range)
        guard let first = own.first, let last = own.last else { return [] }
        do throws(Errno) {
            let map = try PageMap(of: pid, useScan: useScan)
            guard map.canScan && map.canTellGuards else { return [] }
            // One walk for all mappings that nobody has looked at: the kernel passes over what is not mapped.
            let query = PageMap.Query(all: .guarded, reported: .guarded)
            var start = first.lowerBound
            for look in looks.values.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
                if start < look.range.lowerBound {
                    try map.scan(start..<look.range.lowerBound, query) { run in found.append(run.range) }
                }
                found += look.guards
                start = look.range.upperBound
            }
            guard start < last.upperBound else { return found }
            try map.scan(start..<last.upperBound, query) { run in found.append(run.range) }
        } catch {
            throw Problem(
                .memoryUnreachable, "its guard pages cannot be found", object: .init(pid: pid),
                cause: .init(error, attempted: "ioctl(PAGEMAP_SCAN)"), remedy: "Run Apus as root")
        }
        return found
    }

    private static func canHaveSome(_ kind: AreaKind) -> Bool {
        switch kind {
        case .privateAnonymous, .heap, .privateFile, .sharedFile, .sharedMemory, .systemV, .asyncIO: true
        case .requestRing, .packetRing, .vdso, .vvar, .vsyscall: false
        }
    }
}
