internal import Diagnostics
internal import Images
public import Linux
internal import SystemPackage

/// Knows which pages of a process have been written to since they were last read, while the process runs.
///
/// What counts is only what is sure: a mapping that the kernel does not watch, because it is new, was moved, or cannot be
/// watched, counts as written to all over. So do all pages of a process that hands them to devices: what a device writes into
/// memory (O_DIRECT, rings of asynchronous I/O) passes by the page tables in which writing is noted.
public final class WriteTracker {
    /// The process, or one of its threads that has not ended.
    public let pid: Int32
    private let process: String
    private let protection: WriteProtection
    /// What counts as written to, whatever the kernel says: written before the watch was interrupted, or not read when it was
    /// reported.
    private var pending: [Range<UInt64>] = []
    /// Since then everything counts as written to.
    public private(set) var isLost = false
    /// What ``finish()`` has seen of large mappings, by their addresses.
    public private(set) var looks: [UInt64: PageLook] = [:]

    /// - Parameters:
    ///   - pid: whose memory it is.
    ///   - process: its name.
    ///   - protection: of its memory.
    public init(pid: Int32, process: String, _ protection: consuming WriteProtection) {
        self.pid = pid
        self.process = process
        self.protection = protection
    }

    /// Finds what has been written to, and begins to watch it anew: at the first time all that is there.
    ///
    /// - Returns: runs of pages that have content of their own, by address. Nothing where the process cannot be watched.
    public func collect() -> [StoredRun] {
        if isLost { return [] }
        let isDirect = handsMemoryToDevices()
        guard !isDirect, let areas = try? ProcessDirectory(pid).maps(), let map = try? PageMap(of: pid) else {
            isLost = true
            return []
        }
        var found: [StoredRun] = []
        for area in areas where isWatchable(area) {
            do throws(Errno) {
                try collect(area, map, into: &found)
            } catch {
                // It has changed meanwhile, or cannot be watched: it counts as written to at the end.
                continue
            }
        }
        if handsMemoryToDevices() { isLost = true }
        return isLost ? [] : found
    }

    private func collect(_ area: MappedArea, _ map: borrowing PageMap, into found: inout [StoredRun]) throws(Errno) {
        let before = found.count
        do throws(Errno) {
            try scan(area, map, into: &found)
        } catch .notPermitted {
            found.removeLast(found.count - before)
            try protection.register(area.range)
            try scan(area, map, into: &found)
        }
    }

    private func scan(_ area: MappedArea, _ map: borrowing PageMap, into found: inout [StoredRun]) throws(Errno) {
        try map.written(area.range, protecting: true) { (run) throws(Errno) in
            let size = run.range.upperBound - run.range.lowerBound
            found.append(StoredRun(address: run.range.lowerBound, size: size, flags: .isPresent))
        }
    }

    /// The process stands still: what it has not written to since the last ``collect()``, of what was watched all the time.
    ///
    /// The watch stays until the tracker is let go of: to take it away the kernel goes through all page tables once more, and
    /// the process stands still.
    ///
    /// - Returns: ranges by address. What is there in them has been reported before.
    public func finish() -> [Range<UInt64>] {
        // Those of an earlier standstill are of no use, and worse than none.
        looks = [:]
        let watchable = ((try? ProcessDirectory(pid).maps()) ?? []).compactMap { area in
            watchableKind(area).map { (area: area, kind: $0) }
        }
        guard !isLost, !handsMemoryToDevices(), let map = try? PageMap(of: pid) else {
            isLost = true
            return []
        }
        var clean: [Range<UInt64>] = []
        // There may be thousands of both.
        let pending = pending.sorted { $0.lowerBound < $1.lowerBound }
        var first = 0
        for (area, kind) in watchable {
            while first < pending.count, pending[first].upperBound <= area.range.lowerBound { first += 1 }
            var written = pending[first...].prefix { $0.lowerBound < area.range.upperBound }
                .filter { $0.overlaps(area.range) }
            do throws(Errno) {
                if PageLook.isWorthwhile(area, kind) {
                    let look = try PageLook(map, area.range, watched: true)
                    looks[area.range.lowerBound] = look
                    written += look.written
                } else {
                    try map.written(area.range, protecting: false) { (run) throws(Errno) in written.append(run.range) }
                }
            } catch {
                continue
            }
            clean += area.range.without(written.sorted { $0.lowerBound < $1.lowerBound })
        }
        return clean
    }

    /// The process runs on after all: the watch begins anew.
    ///
    /// - Parameter clean: what ``finish()`` has returned.
    public func resume(clean: [Range<UInt64>]) {
        looks = [:]
        guard !isLost, let areas = try? ProcessDirectory(pid).maps(), let map = try? PageMap(of: pid) else {
            isLost = true
            return
        }
        var written: [Range<UInt64>] = []
        for area in areas where isWatchable(area) {
            do throws(Errno) {
                try protection.register(area.range)
                try map.written(area.range, protecting: true) { (_) throws(Errno) in }
                written += area.range.without(clean.filter { $0.overlaps(area.range) })
            } catch {
                continue
            }
        }
        pending += written
    }

    /// What has been reported and could not be read.
    public func wasNotRead(_ ranges: [Range<UInt64>]) { pending += ranges }

    /// From now on everything counts as written to.
    public func lose() { isLost = true }

    private func isWatchable(_ area: MappedArea) -> Bool { watchableKind(area) != nil }

    /// The kind of private memory, but for what the kernel itself puts there and what devices write to; nil for anything else.
    private func watchableKind(_ area: MappedArea) -> AreaKind? {
        guard !area.isShared, let kind = try? area.kind(of: pid, process: process) else { return nil }
        switch kind {
        case .privateAnonymous, .heap, .privateFile: return kind
        case .sharedFile, .sharedMemory, .systemV, .asyncIO, .requestRing, .packetRing, .vdso, .vvar, .vsyscall:
            return nil
        }
    }

    /// Whether devices may write into its memory.
    private func handsMemoryToDevices() -> Bool {
        let directory = ProcessDirectory(pid)
        guard let numbers = try? directory.descriptors() else { return true }
        for number in numbers {
            guard let info = try? directory.descriptorInfo(number) else { continue }
            if info.flags.contains(.direct), isFile(number, directory) { return true }
        }
        guard let areas = try? directory.maps() else { return true }
        return areas.contains { area in
            if area.isRequestRing { return true }
            return (try? area.kind(of: pid, process: process)) == .asyncIO
        }
    }

    /// O_DIRECT of a pipe means packets.
    private func isFile(_ number: Int32, _ directory: ProcessDirectory) -> Bool {
        ((try? directory.descriptorLink(number)) ?? []).first == UInt8(ascii: "/")
    }
}

@available(*, unavailable)
extension WriteTracker: Sendable {}

extension Range<UInt64> {
    /// What is left of it without other ranges, which are sorted by their beginnings and may overlap.
    public func without(_ others: some Sequence<Range<UInt64>>) -> [Range<UInt64>] {
        var left: [Range<UInt64>] = []
        var start = lowerBound
        for other in others where other.upperBound > start {
            if other.lowerBound >= upperBound { break }
            if other.lowerBound > start { left.append(start..<other.lowerBound) }
            start = other.upperBound
        }
        if start < upperBound { left.append(start..<upperBound) }
        return left
    }
}
