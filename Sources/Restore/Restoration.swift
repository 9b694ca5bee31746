public import Diagnostics
internal import Glibc
public import Images
internal import Linux
public import Logging
internal import Objects
internal import Stages
internal import SystemPackage
internal import Tracing

/// The restore of a process tree.
public enum Restoration {
    /// Restores a tree, or leaves nothing behind and throws.
    ///
    /// - Parameter early: the root, where it was made before; it belongs to the restore from here on.
    /// - Returns: the exit status of the tool: that of the restored root where it was waited for.
    /// - Throws: `Problem` or `Problems`: everything that was found to stand in the way, in one look.
    public static func run(_ options: RestoreOptions, early: EarlyRoot? = nil, logger: Logger) throws -> Int32 {
        switch options.pidPolicy {
        case .exact: return try run(options, in: nil, early, logger: logger)
        case .newNamespace:
            switch try PidNamespace.enter(options) {
            case .inside(let namespace): return try run(options, in: namespace, nil, logger: logger)
            case .outside(let status): return status
            }
        }
    }

    private static func run(
        _ options: RestoreOptions, in namespace: PidNamespace?, _ early: EarlyRoot?, logger: Logger
    ) throws -> Int32 {
        let began = Deadline.now()
        defer { Steps.report() }
        defer { early?.abandon() }
        let preflight = try Preflight(
            options, seesPids: true, seesOutside: namespace == nil && !options.isInside, early: early)
        let (plan, site, contents) = (preflight.plan, preflight.site, preflight.contents)
        defer {
            contents.abandon()
            preflight.directory.unlock()
        }
        preflight.notices.forEach { logger.info("\($0)") }
        preflight.warnings.forEach { logger.warning("\($0)") }
        logger.info("The plan: \(plan.tasks.count) processes, \(plan.openings.count) files")
        try Problems.throwIfAny(preflight.problems)
        if options.dryRun {
            try contents.finish()
            options.showPlan(plan.description)
            return 0
        }
        do {
            return try restore(
                plan, site, options, in: namespace, preflight.early, contents, logger: logger, began: began)
        } catch {
            site.connections.abandon()
            site.withdraw()
            throw error
        }
    }

    /// Whether the images in a directory could be restored by this version on a host like this one: asked by a dump
    /// before it ends the original. Nothing is made, and whether files and pids are there is not asked.
    ///
    /// - Parameters:
    ///   - inventory: what the directory is, where that is yet to be written.
    ///   - whenPagesStand: called before page maps and pages are looked at, so that all else can be read while these
    ///     are still written.
    /// - Throws: why not; what `whenPagesStand` throws.
    public static func verify(
        _ directory: ImageDirectory, _ inventory: InventoryEntry? = nil, shellJob: Bool,
        whenPagesStand: () throws(Problem) -> Void = {}
    ) throws(Problems) {
        let images = try CheckpointImages(
            reading: directory, inventory, by: AllProcessors(), whenPagesStand: whenPagesStand)
        let layers: PageLayers
        var host: RestoreHost
        do throws(Problem) {
            layers = try PageLayers(of: directory)
            host = try RestoreHost.current(for: images)
        } catch {
            throw Problems(error)
        }
        // A dump has copies open of all that it reads, which the restore to come has not.
        host.openDescriptors = host.openDescriptors.filter { $0 <= 2 }
        _ = try Planner.plan(images, pages: layers, host: host, shellJob: shellJob, leavesStopped: false)
    }

    private static func restore(
        _ plan: RestorePlan, _ site: RestoreSite, _ options: RestoreOptions, in namespace: PidNamespace?,
        _ early: EarlyRoot?, _ contents: ContentCheck, logger: Logger, began: UInt64
    ) throws -> Int32 {
        let scripts = ActionScripts(options.actionScripts, imagesDirectory: options.imagesDirectory)
        let locks = try site.connections.lockNetwork(
            for: options.tcpClose ? [] : plan.openings.map(\.resource), locksNetwork: options.locksNetwork,
            left: plan.networkLock)
        if locks { try scripts.run(.networkLock) }
        try scripts.run(.preRestore)
        let builder = try build(plan, site, options, early)
        var job: Job?
        var pidFile: WrittenFile?
        var given: GivenTerminals?
        do throws(Problem) {
            logger.info("All processes are rebuilt (\(builder.roundTrips) round trips)")
            job = try Job(plan, options)
            given = try GivenTerminals(plan.givenTerminals, site.inherited)
            try scripts.run(.postRestore, pid: plan.tasks[0].pid)
            if let path = options.pidFile {
                let pid = try namespace?.outerPid(of: plan.tasks[0].pid) ?? plan.tasks[0].pid
                pidFile = try WrittenFile("\(pid)", to: path, options)
            }
            try scripts.run(.preResume, pid: plan.tasks[0].pid)
            try builder.settleThreads()
            try builder.hold()
            try contents.finish()
            if locks { try scripts.run(.networkUnlock, pid: plan.tasks[0].pid) }
            try options.late?.watch(plan.lateMappings)
            try site.connections.watch(word: builder.commitWord, channels: builder.lifelines)
            try options.permission()
        } catch {
            builder.abandon()
            job?.takeTerminalBack()
            given?.takeBack()
            pidFile?.remove()
            throw error
        }
        builder.losses.forEach { logger.warning("\($0)") }
        builder.release {
            options.committed()
            site.connections.release()
        }
        site.images.unlock()
        let known = site.choices.warnings.count
        site.commit()
        site.choices.warnings.dropFirst(known).forEach { logger.warning("\($0)") }
        job?.announceSize(plan)
        given?.announceSizes()
        logger.info("The tree is released")
        var statistics = Statistics()
        statistics.roundTrips = UInt64(builder.roundTrips)
        var times = Statistics.Restore()
        times.forkingTime = UInt32(clamping: (builder.forked - began) / 1000)
        times.restoreTime = UInt32(clamping: (Deadline.now() - began) / 1000)
        times.pagesRestored = plan.storedPages
        statistics.restore = times
        write(statistics, options, logger)
        // The tree runs: what fails now cannot take it back.
        do throws(Problem) { try scripts.run(.postResume, pid: plan.tasks[0].pid) } catch {
            logger.error("\(error)")
        }
        options.report(statistics)
        if let descriptor = options.statusDescriptor {
            try? Files.write(descriptor, [0])
            try? Files.close(descriptor)
        }
        Steps.report()
        if let namespace { namespace.serve(root: plan.tasks[0].pid) }
        if let command = options.execCommand { return try Job.become(command) }
        return options.detached ? 0 : job?.wait() ?? 0
    }

    /// Builds the tree. A pid whose process has just gone stays taken for some microseconds more, after it has
    /// vanished from `/proc`: then the whole attempt is taken back and made again.
    private static func build(
        _ plan: RestorePlan, _ site: RestoreSite, _ options: RestoreOptions, _ early: EarlyRoot?
    ) throws(Problem) -> TreeBuilder {
        let patience = Deadline(nanoseconds: 500_000_000)
        while true {
            site.beginAnew()
            let builder = try TreeBuilder(
                plan, site: site, sibling: options.sibling, progress: options.progress, deadline: .never, early: early)
            do throws(Problem) {
                try builder.build()
                options.progress.finish()
                // What the tree has inherited Apus must not hold: the end of a pipe would never be seen.
                site.letGo()
                return builder
            } catch {
                options.progress.finish()
                builder.abandon()
                // What was put into the memory of an early root has gone with it.
                guard early == nil, error.code == .pidInUse, !patience.isPast, PidsInUse.problems(plan).isEmpty else {
                    throw error
                }
                usleep(10_000)
            }
        }
    }

    private static func write(_ statistics: Statistics, _ options: RestoreOptions, _ logger: Logger) {
        guard let times = statistics.restore else { return }
        var entry = StatsEntry()
        entry.restore.pagesCompared = times.pagesCompared
        entry.restore.pagesSkippedCow = times.pagesSkippedCow
        entry.restore.forkingTime = times.forkingTime
        entry.restore.restoreTime = times.restoreTime
        entry.restore.pagesRestored = times.pagesRestored
        do throws(Problem) {
            let directory = try ImageDirectory(opening: options.workDirectory ?? options.imagesDirectory)
            try directory.write([entry], as: .restoreStatistics)
        } catch {
            // The tree runs; a missing file of statistics must not make the restore a failure.
            logger.warning("The statistics cannot be written: \(error)")
        }
    }
}

/// A small file that goes away again if the restore fails.
struct WrittenFile {
    private let path: FilePath

    init(_ text: String, to path: FilePath, _ options: RestoreOptions) throws(Problem) {
        let base = options.workDirectory ?? options.imagesDirectory
        self.path = path.isAbsolute ? path : base.appending(path.components)
        do throws(Errno) {
            let file = try Files.open(self.path, [.writeOnly, .create, .truncate], mode: 0o644)
            try Files.write(file.raw, Array(text.utf8))
        } catch {
            throw Problem(
                .fileUnopenable, "the file cannot be written", object: .init(path: self.path.string),
                cause: .init(error, attempted: "open and write"), remedy: "Give another path with --pidfile")
        }
    }

    func remove() { try? Files.remove(path) }
}
