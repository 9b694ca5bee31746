internal import Diagnostics
internal import Images
internal import Linux
internal import Memory

/// Pages that follow when the tree runs on the other host already.
///
/// Only private memory without a file can be waited for page by page. What the kernel or the restore itself touches before the
/// program does must be there: the pages around the stack pointers, thread-local storage and the like.
extension Departure {
    /// Notes where the threads of a process touch its memory at once.
    ///
    /// - Parameter owner: by whom the memory is stored.
    func note(_ cores: [(tid: Int32, core: CoreEntry)], memoryOf owner: Int32) {
        guard sendsLate, part == .last else { return }
        for (_, core) in cores {
            let (registers, thread) = (core.threadInfo.gpregs, core.threadCore)
            // Below the stack pointer the frame is put that the thread begins with; with large registers it has some 12 KiB.
            touch(registers.sp, below: 64 << 10, above: 16 << 10, of: owner)
            touch(registers.fsBase, below: 4096, above: 8192, of: owner)
            for address in [
                registers.gsBase, thread.rseqEntry.rseqAbiPointer, thread.futexRla, core.threadInfo.clearTidAddr_p,
            ] { touch(address, below: 0, above: 4096, of: owner) }
            if thread.hasSas { touch(thread.sas.ssSp &+ thread.sas.ssSize, below: 64 << 10, above: 0, of: owner) }
        }
    }

    private func touch(_ address: UInt64, below: UInt64, above: UInt64, of owner: Int32) {
        guard address > 0, address < 1 << 56 else { return }
        let mask = ~(Pagemap.pageSize - 1)
        let start = (address > below ? address - below : 0) & mask
        touched[owner, default: []].append(start..<(address + above + Pagemap.pageSize) & mask)
    }

    /// Divides what has to be sent of a process into what goes now and what follows.
    ///
    /// - Parameters:
    ///   - runs: what has to be sent, sorted.
    ///   - parts: all pages that there are, sorted.
    ///   - areas: the mappings.
    func divide(
        _ runs: [Range<UInt64>], of owner: Int32, parts: [Range<UInt64>], _ areas: [(area: MappedArea, kind: AreaKind)]
    ) -> (now: [Range<UInt64>], late: [Range<UInt64>]) {
        guard sendsLate, lateProcesses < Self.mostLateProcesses else { return (runs, []) }
        let touched = (touched[owner] ?? []).sorted { $0.lowerBound < $1.lowerBound }
        let possible = areas.filter(Self.canBeLate).flatMap { $0.area.range.without(touched) }
        let candidates = Self.common(runs, possible)
        guard candidates.reduce(UInt64(0), { $0 + $1.size }) >= Self.worthwhile else { return (runs, []) }
        let late = Self.common(Self.joined(candidates), Self.common(parts, possible))
        lateProcesses += 1
        return (Self.rest(of: runs, without: late), late)
    }

    /// Less is sent in no time, and each process that waits for pages costs some.
    private static let worthwhile: UInt64 = 1 << 20
    private static let smallestArea: UInt64 = 256 << 10
    static let mostLateProcesses = 64
    /// The other host makes room for each run by a call.
    private static let mostRuns = 4096

    private static func canBeLate(_ area: MappedArea, _ kind: AreaKind) -> Bool {
        guard kind == .privateAnonymous || kind == .heap, area.size >= smallestArea, let details = area.details else {
            return false
        }
        let others: VmFlags = [
            .locked, .growsDown, .hugeTLB, .wipeOnFork, .droppable, .sealed, .shadowStack, .faultMissing,
        ]
        return details.flags.isDisjoint(with: others) && details.protectionKey ?? 0 == 0 && area.name != .stack
    }

    /// Joins runs that are near each other, the nearer ones first, until there are few: what lies between follows with them, though
    /// it may have been sent.
    static func joined(_ runs: [Range<UInt64>]) -> [Range<UInt64>] {
        var (joined, gap) = (runs, 2 * Pagemap.pageSize)
        while joined.count > mostRuns, gap < 1 << 40 {
            var next: [Range<UInt64>] = []
            for run in joined {
                if let last = next.last, run.lowerBound - last.upperBound < gap {
                    next[next.count - 1] = last.lowerBound..<run.upperBound
                } else {
                    next.append(run)
                }
            }
            joined = next
            gap *= 2
        }
        return joined
    }

    /// What is left of a sorted list of ranges without those of another. There may be thousands of both.
    static func rest(of runs: [Range<UInt64>], without others: [Range<UInt64>]) -> [Range<UInt64>] {
        var (left, next): ([Range<UInt64>], Int) = ([], 0)
        for run in runs {
            while next < others.count, others[next].upperBound <= run.lowerBound { next += 1 }
            var (start, other) = (run.lowerBound, next)
            while other < others.count, others[other].lowerBound < run.upperBound {
                if others[other].lowerBound > start { left.append(start..<others[other].lowerBound) }
                start = max(start, others[other].upperBound)
                other += 1
            }
            if start < run.upperBound { left.append(start..<run.upperBound) }
        }
        return left
    }

    /// What two sorted lists of ranges have in common.
    static func common(_ one: [Range<UInt64>], _ other: [Range<UInt64>]) -> [Range<UInt64>] {
        var found: [Range<UInt64>] = []
        var (first, second) = (0, 0)
        while first < one.count, second < other.count {
            let (a, b) = (one[first], other[second])
            if a.overlaps(b) { found.append(a.clamped(to: b)) }
            if a.upperBound <= b.upperBound { first += 1 } else { second += 1 }
        }
        return found
    }
}

extension Range<UInt64> {
    fileprivate var size: UInt64 { upperBound - lowerBound }
}
