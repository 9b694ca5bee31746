internal import Diagnostics
internal import Linux
internal import Logging
internal import Memory
internal import Objects
internal import Tracing

/// Copies of all processes of a tree that share their memory copy-on-write, for a dump that leaves the tree running: the
/// tree goes on as soon as they exist, and their memory is read while it does.
///
/// All processes have one or none has: pages that several share are read from any of them.
struct Twins {
    /// Below that many bytes, and below a mebibyte for each process, copying is as fast as making twins. It takes some
    /// 0.5 ms for each process and 17 ms for each GiB to make them, about 1 ms for each MiB to copy.
    static let worthwhile: UInt64 = 32 << 20
    /// So long it takes to copy a mebibyte, in nanoseconds.
    private static let copying: UInt64 = 1_000_000

    /// By pid.
    private var made: [Int32: Twin] = [:]
    /// Processes that have the memory of another, whose twin is theirs too.
    private var sharers: [Int32: Int32] = [:]
    private var isWanted = false
    /// How many are to be made, and how long they may take, in nanoseconds.
    private var (count, limit): (Int, UInt64) = (0, 0)
    /// How long they have taken.
    private var elapsed: UInt64 = 0
    private let logger: Logger

    /// Decides whether twins are worth their while.
    ///
    /// - Parameter movesPages: the memory is to be read at all.
    init(for processes: [SurveyedProcess], _ options: DumpOptions, movesPages: Bool = true, _ logger: Logger) {
        self.logger = logger
        guard options.finally == .run, movesPages else { return }
        let bytes = processes.reduce(UInt64(0)) { sum, process in
            process.areas.reduce(sum) { $0 + ($1.area.details?.anonymous ?? 0) }
        }
        guard bytes >= Self.worthwhile, bytes >> 20 >= UInt64(processes.count) else { return }
        // Who adopts orphans would come across a twin; a filter would judge the twin's own calls.
        for process in processes where !process.isZombie {
            let isInitial = process.status.namespacePids.last == 1
            if isInitial || (process.status.seccompMode ?? 0) != 0 {
                let reason = isInitial ? "is the first of a pid namespace" : "has seccomp filters"
                logger.info("\(process.object.description) \(reason): all memory is copied while the tree stands still")
                return
            }
        }
        isWanted = true
        count = processes.count
        limit = (bytes >> 20) * Self.copying
    }

    /// Whether to go on with making them: not where that is going to take longer than to copy everything. A process deep in a line of
    /// children that have never called execve(2) is as slow to copy as it is deep, as the kernel notes all ancestors of its pages.
    ///
    /// - Parameters:
    ///   - elapsed: how long so many of them have taken, in nanoseconds.
    ///   - limit: how long it takes to copy everything.
    static func isWorthwhile(after elapsed: UInt64, _ made: Int, of count: Int, limit: UInt64) -> Bool {
        // The first few say little.
        made < 8 || elapsed / UInt64(made) * UInt64(count) <= limit
    }

    var areMade: Bool { !made.isEmpty }

    /// The pids of the twins, by process.
    var pids: [Int32: Int32] {
        let shared = sharers.compactMapValues { made[$0]?.pid }
        return made.mapValues(\.pid).merging(shared) { own, _ in own }
    }

    /// Makes the twin of a process under control. Where that cannot be, the tree stands still for the copying.
    ///
    /// - Parameter owner: whose memory it has, itself in most cases; else the twin of that one is there already.
    mutating func add(_ control: RemoteControl, isSubreaper: Bool, memoryOf owner: Int32) throws(Problem) {
        guard isWanted else { return }
        if !isSubreaper, owner != control.pid {
            sharers[control.pid] = owner
            return
        }
        let start = SystemClock.monotonic.now
        // A 32-bit program runs the interpreter in memory that a fork shares.
        if !isSubreaper, !control.isCompat, let twin = try control.makeTwin() {
            made[twin.original] = twin
            elapsed += SystemClock.monotonic.now - start
            if !Self.isWorthwhile(after: elapsed, made.count, of: count, limit: limit) {
                giveUp("the processes are slow to copy")
            }
            return
        }
        let reason = isSubreaper ? "adopts orphans" : "cannot be copied (a limit of memory or of processes)"
        giveUp("process \(control.memory.pid) \(reason)")
    }

    private mutating func giveUp(_ reason: String) {
        logger.info("\(reason): all memory is copied while the tree stands still")
        made = [:]
        isWanted = false
    }

    /// Lets them go: they exit.
    mutating func end() { made = [:] }

    /// Where the pages of processes are read from instead.
    func sources(for processes: [SurveyedProcess], _ counters: PageCounters) throws(Problem) -> [ProcessPages] {
        var sources: [ProcessPages] = []
        for process in processes {
            let twin = made[process.pid]
            let memory = try ProcessMemory(pid: twin?.pid ?? process.eye)
            sources.append(ProcessPages(memory, process.areas, isTwin: twin != nil, counters))
        }
        return sources
    }
}
