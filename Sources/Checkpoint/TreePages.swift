internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import SystemPackage
internal import Tracing

/// The memory of a frozen tree: which pages there are, which of them are shared by copy-on-write, and where in the
/// images each belongs. What is left to be done is to move them.
struct TreePages {
    /// Pages to be moved into one pages file.
    struct Job {
        enum Source {
            /// A process, by its index.
            case process(Int)
            /// Several, which share them.
            case group([SharingLayers.Piece])
        }

        let directory: ImageDirectory
        /// 0 for the image directory itself, 1 for its parent, and so on.
        let layer: Int
        let file: UInt32
        /// In bytes.
        let fileSize: UInt64
        var runs: [PlacedRun]
        let source: Source
        let purpose: String
    }

    /// The live processes.
    let processes: [SurveyedProcess]
    let sources: [ProcessPages]
    /// By process.
    let runs: [[StoredRun]]
    /// Where the pages go that processes share; nil where they share none.
    let sharing: SharingLayers?
    /// What is to be moved.
    private(set) var jobs: [Job] = []

    /// Looks at the page tables.
    ///
    /// - Parameter seen: what was seen of large mappings already, by process and address.
    init(
        _ processes: [SurveyedProcess], seen: [Int32: [UInt64: PageLook]], _ counters: PageCounters
    ) throws(Problem) {
        var sources: [ProcessPages] = []
        var runs: [[StoredRun]] = []
        for process in processes {
            let source = ProcessPages(
                try ProcessMemory(pid: process.eye), process.areas, looks: seen[process.pid] ?? [:], counters)
            sources.append(source)
            runs.append(try source.runs())
        }
        self.processes = processes
        self.sources = sources
        guard processes.count > 1 else {
            sharing = nil
            self.runs = runs
            return
        }
        let members = zip(processes, runs).map { process, runs in
            FrameComparison.Member(pid: process.eye, ranges: runs.map { $0.address..<($0.address + $0.size) })
        }
        let shared = try FrameComparison.columns(of: members)
        let layers = SharingLayers(shared, count: processes.count)
        sharing = shared.isEmpty ? nil : layers
        self.runs = zip(runs, layers.references).map { $0.referring(to: $1) }
    }

    mutating func add(_ job: Job) { jobs.append(job) }

    /// The jobs that a twin cannot do: it lacks memory that is not inherited at a fork, or is cleared there, its vdso
    /// has Apus' code in it, and a ring of asynchronous I/O goes on changing. Huge pages are left alone: the original could run out of them.
    ///
    /// - Returns: what has to be moved while the tree stands still, and what can be moved from the twins.
    func divided() -> (now: [Job], later: [Job]) {
        let apart = processes.map { process in
            process.areas.filter { area, kind in
                let flags = area.details?.flags ?? []
                return kind == .vdso || kind == .asyncIO || !flags.isDisjoint(with: [.dontFork, .wipeOnFork, .hugeTLB])
            }.map { $0.area.range }
        }
        var (now, later) = ([Job](), [Job]())
        for job in jobs {
            var (first, second) = (job, job)
            (first.runs, second.runs) = ([], [])
            for (index, placed) in job.runs.enumerated() {
                let owner =
                    switch job.source {
                    case .process(let process): process
                    case .group(let pieces): pieces[index].owner
                    }
                let (inside, outside) = placed.cut(by: apart[owner])
                first.runs += inside
                second.runs += outside
            }
            if !first.runs.isEmpty { now.append(first) }
            if !second.runs.isEmpty { later.append(second) }
        }
        return (now, later)
    }
}

extension PlacedRun {
    /// The parts within and without ranges, which are sorted.
    func cut(by ranges: [Range<UInt64>]) -> (inside: [PlacedRun], outside: [PlacedRun]) {
        var (inside, outside) = ([PlacedRun](), [PlacedRun]())
        var start = run.address
        let end = run.address + run.size
        func part(_ from: UInt64, _ to: UInt64) -> PlacedRun {
            PlacedRun(
                run: .init(address: from, size: to - from, flags: run.flags), position: position + from - run.address)
        }
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= start { low = middle + 1 } else { high = middle }
        }
        for range in ranges[low...] where start < end {
            if range.lowerBound >= end { break }
            let (from, to) = (max(range.lowerBound, start), min(range.upperBound, end))
            if from > start { outside.append(part(start, from)) }
            inside.append(part(from, to))
            start = to
        }
        if start < end { outside.append(part(start, end)) }
        return (inside, outside)
    }
}
