internal import Diagnostics
internal import Linux
internal import Objects

/// The attributes of mappings (VmFlags of proc_pid_smaps(5)) as they were before the freeze.
///
/// To tell them the kernel walks through all page tables: for 1 GiB ten milliseconds and more, in which the tree would
/// stand still. `/proc/PID/maps` takes microseconds. So where a tree is to run on as soon as it has twins, and its
/// mappings are what they were a moment ago, their attributes are taken for what they were, too, and held against those
/// of the twins when the tree runs again. A difference, which takes an madvise(2) in that moment, ends the dump.
///
/// A tree that leaves for another host stands still until they are confirmed. There the kernel's own flags are compared
/// (``KernelMappings``), which takes no walk; where they cannot be read, or are not the same, it is made.
struct KnownMappings: Sendable {
    /// Below so many bytes of private memory there is no time to be won.
    private static let worthwhile: UInt64 = 16 << 20
    /// Below so much that is in memory, in KiB, the walk takes less than asking the kernel does.
    private static let worthAsking: UInt64 = 128 << 10

    /// By process, as it was seen before.
    private var before: [Int32: [MappedArea]] = [:]
    /// By process: what the kernel had then, where it was asked.
    private var flags: [Int32: KernelMappings] = [:]
    /// By process: those whose attributes have yet to be confirmed.
    private(set) var assumed: [Int32: [MappedArea]] = [:]
    /// Apus itself watches what is written to (`WriteTracking`), and what shows of that is none of the mappings'.
    var disregardsWatch = false
    /// The kernel is asked for the flags of large processes as well, which have yet to be confirmed when the tree stands still.
    var asksKernel = false

    init() {}

    /// Remembers what a survey of the running tree has seen.
    ///
    /// - Parameter flags: by process, what the kernel had in the same moment.
    init(_ processes: [SurveyedProcess], _ flags: [Int32: KernelMappings] = [:]) {
        self.flags = flags
        // Where the first thread has ended, what its twin would be called is another matter.
        for process in processes where process.eye == process.pid {
            let areas = process.areas.map { $0.area }
            let size = areas.reduce(UInt64(0)) { $0 + ($1.details?.anonymous ?? 0) }
            if size >= Self.worthwhile { before[process.pid] = areas }
        }
    }

    /// What is to be seen of the mappings of a process.
    struct Look {
        var areas: [MappedArea]
        /// Their attributes were taken from before the freeze.
        var areAssumed: Bool
        /// What the kernel had in the same moment, where it was asked.
        var flags: KernelMappings?
    }

    /// The mappings of a process.
    func areas(of pid: Int32) throws(ProcfsError) -> Look {
        let directory = ProcessDirectory(pid)
        if let before = before[pid] {
            // VmLck is in KiB.
            let locked = (try directory.status().lockedSize ?? 0) << 10
            if let areas = Self.merged(try directory.maps(), before), Self.lockedSize(areas) == locked {
                return Look(areas: areas, areAssumed: true)
            }
        }
        // The first look at the kernel costs some milliseconds.
        let resident = asksKernel ? try directory.status().residentSize ?? 0 : 0
        let flags = resident > Self.worthAsking ? try? KernelMappings(of: pid) : nil
        var areas = try directory.smaps()
        if disregardsWatch {
            for index in areas.indices { areas[index].details?.flags.remove(.faultWriteProtected) }
        }
        let shown = areas.lazy.filter { $0.name != .vsyscall }.map(\.range)
        guard let flags, let later = try? KernelMappings(of: pid), flags.isSameMoment(as: later),
            flags.areas.map(\.range).elementsEqual(shown)
        else {
            return Look(areas: areas, areAssumed: false)
        }
        return Look(areas: areas, areAssumed: false, flags: flags)
    }

    /// Remembers what has yet to be confirmed.
    mutating func assume(_ areas: [MappedArea], of pid: Int32) { assumed[pid] = areas }

    /// The mappings of now with the attributes of before; nil where they are not the same.
    static func merged(_ now: [MappedArea], _ before: [MappedArea]) -> [MappedArea]? {
        guard now.count == before.count else { return nil }
        for (one, other) in zip(now, before) {
            var bare = other
            bare.details = nil
            if one != bare { return nil }
        }
        return before
    }

    private static func lockedSize(_ areas: [MappedArea]) -> UInt64 {
        areas.reduce(0) { $0 + ($1.details?.flags.contains(.locked) == true ? $1.size : 0) }
    }

    /// Confirms what was assumed.
    ///
    /// - Parameter twins: the pids of the twins, by process; empty while the tree stands still.
    /// - Throws: `memory-changed`.
    func confirm(_ twins: [Int32: Int32]) throws(Problem) {
        if let problem = difference(twins) { throw problem }
    }

    /// Whether it is otherwise than was assumed.
    ///
    /// - Parameter twins: as above.
    func difference(_ twins: [Int32: Int32]) -> Problem? {
        for (pid, areas) in assumed {
            if let known = flags[pid], twins.isEmpty, let now = try? KernelMappings(of: pid), now.areas == known.areas {
                continue
            }
            let actual: [MappedArea]
            do throws(ProcfsError) {
                actual = try ProcessDirectory(twins[pid] ?? pid).smaps()
            } catch {
                return Problem(
                    .objectUnreadable, "its mappings cannot be read (\(error.description))", object: .init(pid: pid),
                    cause: error.errno.map { .init($0, attempted: "read of \(error.file)") },
                    remedy: "Run Apus as root, with /proc mounted")
            }
            let ignored: VmFlags = disregardsWatch ? .faultWriteProtected : []
            if let area = Self.difference(areas, actual, isTwin: twins[pid] != nil, besides: ignored) {
                return Problem(
                    .memoryChanged, "the program changed the attributes of its memory in the moment of the freeze",
                    object: .init(pid: pid, address: area.range.lowerBound), remedy: "Try again")
            }
        }
        return nil
    }

    /// The first mapping whose attributes are not those that were assumed.
    ///
    /// - Parameters:
    ///   - isTwin: the actual ones are those of a twin, which has nothing locked, no memory that is not inherited at a fork,
    ///     and the mailbox of Apus.
    ///   - others: flags of no meaning.
    static func difference(
        _ assumed: [MappedArea], _ actual: [MappedArea], isTwin: Bool, besides others: VmFlags = []
    ) -> MappedArea? {
        let there = Dictionary(actual.map { ($0.range.lowerBound, $0) }) { first, _ in first }
        var ignored = others.union(.softDirty)
        if isTwin { ignored.formUnion([.locked, .lockOnFault]) }
        for area in assumed where !area.name.isKernelProvided {
            guard let details = area.details else { return area }
            let other = there[area.range.lowerBound]
            if isTwin && details.flags.contains(.dontFork) {
                if other != nil { return area }
                continue
            }
            guard let other, other.range == area.range, let found = other.details,
                found.flags.subtracting(ignored) == details.flags.subtracting(ignored),
                found.unknownFlags == details.unknownFlags, found.protectionKey == details.protectionKey
            else { return area }
        }
        return nil
    }
}

extension Problem.Code {
    /// What was seen before the freeze was no longer so.
    static let memoryChanged: Self = "memory-changed"
}
