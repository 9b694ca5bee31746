public import Diagnostics
internal import Images
public import Linux
internal import SystemPackage
public import Tracing

/// The pages of a frozen process that its images need: what was written to private memory, and the vdso.
public struct ProcessPages: PageSource {
    private let memory: ProcessMemory
    private let areas: [(area: MappedArea, kind: AreaKind)]
    private let counters: PageCounters
    /// At some of the mappings, by their addresses.
    private let looks: [UInt64: PageLook]
    /// Where pages are shared copy-on-write with another process.
    private let shared: [Range<UInt64>]

    /// - Parameters:
    ///   - memory: of the process.
    ///   - areas: all its mappings, in order.
    ///   - looks: at some of the mappings, by their addresses.
    ///   - isTwin: all of its pages are shared copy-on-write.
    ///   - counters: told what was looked at.
    public init(
        _ memory: ProcessMemory, _ areas: [(area: MappedArea, kind: AreaKind)], looks: [UInt64: PageLook] = [:],
        isTwin: Bool = false, _ counters: PageCounters
    ) {
        self.looks = looks
        self.memory = memory
        self.areas = areas
        self.counters = counters
        shared = areas.filter { isTwin || ($0.area.details?.sharedDirty ?? 0) > 0 }.map { $0.area.range }
    }

    public func runs() throws(Problem) -> [StoredRun] {
        var found: [StoredRun] = []
        do throws(Errno) {
            let map = try PageMap(of: memory.pid)
            for group in groups() {
                guard let backing = group.backing else {
                    found.append(StoredRun(address: group.range.lowerBound, size: group.size, flags: .isPresent))
                    continue
                }
                func add(_ run: PageRun) {
                    found.append(
                        StoredRun(
                            address: run.range.lowerBound, size: run.range.upperBound - run.range.lowerBound,
                            flags: group.flags))
                }
                if let look = group.look {
                    look.populated.forEach(add)
                } else {
                    try map.populated(group.range, backing, add)
                }
            }
        } catch {
            throw Problem(
                .memoryUnreachable, "the state of its pages cannot be read", object: .init(pid: memory.pid),
                cause: .init(error, attempted: "ioctl(PAGEMAP_SCAN)"), remedy: "Run Apus as root")
        }
        return found
    }

    /// Neighbouring mappings that are asked about together.
    private struct Group {
        var range: Range<UInt64>
        var flags: Pagemap.Flags
        /// nil: everything is stored.
        var backing: PageMap.Backing?
        /// What is there already.
        var look: PageLook?
        var size: UInt64 { range.upperBound - range.lowerBound }
    }

    private func groups() -> [Group] {
        var groups: [Group] = []
        for (area, kind) in areas {
            let next: Group
            switch kind {
            // Its pages are the kernel's, and all are there.
            case .vdso, .asyncIO: next = Group(range: area.range, flags: .isPresent, backing: nil)
            case .vvar, .vsyscall, .sharedFile, .systemV, .requestRing, .packetRing: continue
            case .sharedMemory:
                if area.isShared { continue }
                next = Group(range: area.range, flags: .isPresent, backing: .privateMemory)
            case .privateFile: next = Group(range: area.range, flags: .isPresent, backing: .privateMemory)
            case .privateAnonymous, .heap:
                // The kernel may empty it at any time, and it is better empty than twice: it holds the state of random
                // numbers (getrandom(2) by way of the vdso).
                if area.details?.flags.contains(.droppable) ?? false { continue }
                // What is locked into memory must be there from the first moment.
                let isLocked = area.details?.flags.contains(.locked) ?? false
                let isHuge = area.details?.flags.contains(.hugeTLB) ?? false
                next = Group(
                    range: area.range, flags: isLocked ? .isPresent : [.isPresent, .isLazy],
                    backing: isHuge ? .privateMemory : .privateAnonymous)
                if !isHuge, let look = looks[area.range.lowerBound], look.range == area.range {
                    counters.scanned += next.size / Pagemap.pageSize
                    groups.append(Group(range: next.range, flags: next.flags, backing: next.backing, look: look))
                    continue
                }
            }
            counters.scanned += next.size / Pagemap.pageSize
            if let last = groups.last, last.look == nil, last.range.upperBound == area.range.lowerBound,
                last.flags == next.flags,
                last.backing == next.backing
            {
                groups[groups.count - 1].range = last.range.lowerBound..<area.range.upperBound
            } else {
                groups.append(next)
            }
        }
        return groups
    }

    @unsafe public func read(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
        // process_vm_readv(2) is faster, but pins pages, and a pinned page is no longer shared copy-on-write: to read
        // would make a copy of it in the process.
        if pieces.contains(where: { isShared($0) }) { return try unsafe readThroughFile(pieces, into: buffer) }
        do throws(RemoteMemory.Failure) {
            let list = pieces.map { RemoteMemory.Piece(address: $0.address, count: Int($0.size)) }
            try unsafe RemoteMemory.read(memory.pid, pieces: list, into: buffer)
        } catch {
            // Memory that the process itself may not read stops the fast way (EFAULT); this one reads all.
            try unsafe readThroughFile(pieces, into: buffer)
        }
    }

    private func isShared(_ piece: StoredRun) -> Bool {
        var (low, high) = (0, shared.count)
        while low < high {
            let middle = (low + high) / 2
            if shared[middle].upperBound <= piece.address { low = middle + 1 } else { high = middle }
        }
        return low < shared.count && shared[low].lowerBound < piece.address + piece.size
    }

    private func readThroughFile(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
        var filled = 0
        for piece in pieces {
            let count = Int(piece.size)
            // The pieces fill the buffer exactly: the caller has laid them out so.
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
            do throws(Errno) {
                let got = try unsafe memory.read(RemoteAddress(piece.address), into: part)
                if got < count { throw .badAddress }
            } catch {
                throw Problem(
                    .memoryUnreachable, "its memory cannot be read",
                    object: .init(pid: memory.pid, address: piece.address),
                    cause: .init(error, attempted: "read of /proc/\(memory.pid)/mem"),
                    remedy: "A page on a failing disk or of a truncated file cannot be saved: look in the kernel log")
            }
            filled += count
        }
    }
}

/// Counts what a dump did with pages.
public final class PageCounters {
    public internal(set) var scanned: UInt64 = 0
    public var written: UInt64 = 0
    public init() {}
}

@available(*, unavailable)
extension PageCounters: Sendable {}
