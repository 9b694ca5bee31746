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
    /// - Returns: the exit status of the tool: that of the restored root where it was waited for.
    /// - Throws: `Problem` or `Problems`: everything that was found to stand in the way, in one look.
    public static func run(_ options: RestoreOptions, logger: Logger) throws -> Int32 {
        switch options.pidPolicy {
        case .exact: return try run(options, in: nil, logger: logger)
        case .newNamespace:
            switch try PidNamespace.enter(options) {
            case .inside(let namespace): return try run(options, in: namespace, logger: logger)
            case .outside(let status): return status
            }
        }
    }

    private static func run(_ options: RestoreOptions, in namespace: PidNamespace?, logger: Logger) throws -> Int32 {
        let began = Deadline.now()
        defer { Steps.report() }
        let directory = try ImageDirectory(opening: options.imagesDirectory)
        // A dump into it meanwhile would change what is being read.
        try directory.lock(exclusively: false)
        defer { directory.unlock() }
        var images = try CheckpointImages(reading: directory)
        if options.detached { forgetParentDeath(&images, logger) }
        let layers = try PageLayers(of: directory)
        let host = try RestoreHost.current(for: images)
        var plan = try Planner.plan(
            images, pages: layers, host: host, shellJob: options.shellJob, leavesStopped: options.leaveStopped,
            securityProfile: options.securityProfile)
        let clock = TreeClock(images)
        plan.clocks = clock?.continued(options.continueClocks)
        let passed = clock?.report(isContinued: plan.clocks != nil)
        if let notice = passed?.notice { logger.info("\(notice)") }
        if let warning = passed?.warning { logger.warning("\(warning)") }
        logger.info("The plan: \(plan.tasks.count) processes, \(plan.openings.count) files")
        let site = RestoreSite(
            images: directory,
            inherited: Dictionary(options.inherited.map { ($0.key, $0.descriptor) }) { _, last in last },
            shellJob: options.shellJob)
        site.seesOutside = namespace == nil
        site.connectionPolicy = options.tcpClose ? .closed : options.tcpEstablished ? .carried : .refused
        // Descriptors that the tree inherits stand above all of its own.
        Processes.raiseLimitOfFiles()
        plan.notes.forEach { logger.warning("\($0)") }
        let rights = HostRights.current()
        rights?.losses(images).forEach { logger.warning("\($0)") }
        try Problems.throwIfAny(
            (rights?.problems(images) ?? []) + site.uselessSubstitutes(plan.openings.map(\.resource))
                + plan.openings.flatMap { $0.resource.obstacles(at: site) }.uniqued()
                + PidsInUse.problems(plan) + AsyncRequests.problems(plan) + siblingProblems(plan, options))
        if options.dryRun {
            options.showPlan(plan.description)
            return 0
        }
        do {
            if case .string(let lock)? = images.supplement[.network, "lock"] { plan.networkLock = lock }
            return try restore(plan, site, options, in: namespace, logger: logger, began: began)
        } catch {
            site.connections.abandon()
            site.withdraw()
            throw error
        }
    }

    /// The parent that the root had is not in the images; its new one is Apus, whose leaving must not be the death that
    /// the root asked to be told of (PR_SET_PDEATHSIG of prctl(2)).
    private static func forgetParentDeath(_ images: inout CheckpointImages, _ logger: Logger) {
        guard !images.tasks.isEmpty else { return }
        // Those that nothing dies of may come.
        let harmless: Set<Int32> = [0, SIGCHLD, SIGCONT, SIGURG, SIGWINCH]
        for number in images.tasks[0].threads.indices {
            let signal = Int32(bitPattern: images.tasks[0].threads[number].core.threadCore.pdeathSig)
            if harmless.contains(signal) { continue }
            images.tasks[0].threads[number].core.threadCore.pdeathSig = 0
            logger.warning(
                "process \(images.tasks[0].pid): it is no longer sent a signal when its parent ends: detached, it has none"
            )
        }
    }

    /// A helper that makes the root would be a child of Apus' parent as the root is to be, and its remains would stay
    /// there: nobody but that parent can take note of its end.
    private static func siblingProblems(_ plan: RestorePlan, _ options: RestoreOptions) -> [Problem] {
        guard options.sibling, plan.first != 0 else { return [] }
        let root = plan.tasks[0]
        return [
            Problem(
                .sessionOutside,
                "the leader of its session, \(plan.tasks[plan.first].pid), has ended, and takes a helper to begin it, which"
                    + " cannot be a child of Apus' parent (--restore-sibling)",
                object: .init(pid: root.pid, process: root.name),
                remedy: "Restore without --restore-sibling, or use --exec-cmd for a parent of your choice")
        ]
    }

    /// Whether the images in a directory could be restored by this version on a host like this one: asked by a dump
    /// before it ends the original. Nothing is made, and whether files and pids are there is not asked.
    public static func verify(_ directory: ImageDirectory, shellJob: Bool) throws(Problems) {
        let images = try CheckpointImages(reading: directory)
        let layers: PageLayers
        let host: RestoreHost
        do throws(Problem) {
            layers = try PageLayers(of: directory)
            host = try RestoreHost.current(for: images)
        } catch {
            throw Problems(error)
        }
        _ = try Planner.plan(images, pages: layers, host: host, shellJob: shellJob, leavesStopped: false)
    }

    private static func restore(
        _ plan: RestorePlan, _ site: RestoreSite, _ options: RestoreOptions, in namespace: PidNamespace?,
        logger: Logger, began: UInt64
    ) throws -> Int32 {
        let scripts = ActionScripts(options.actionScripts, imagesDirectory: options.imagesDirectory)
        let locks = try site.connections.lockNetwork(
            for: options.tcpClose ? [] : plan.openings.map(\.resource), locksNetwork: options.locksNetwork,
            left: plan.networkLock)
        if locks { try scripts.run(.networkLock) }
        try scripts.run(.preRestore)
        let builder = try build(plan, site, options)
        var job: Job?
        var pidFile: WrittenFile?
        do throws(Problem) {
            logger.info("All processes are rebuilt (\(builder.roundTrips) round trips)")
            job = try Job(plan, options)
            try scripts.run(.postRestore, pid: plan.tasks[0].pid)
            if let path = options.pidFile {
                let pid = try namespace?.outerPid(of: plan.tasks[0].pid) ?? plan.tasks[0].pid
                pidFile = try WrittenFile("\(pid)", to: path, options)
            }
            try scripts.run(.preResume, pid: plan.tasks[0].pid)
            try builder.settleThreads()
            try builder.hold()
            if locks { try scripts.run(.networkUnlock, pid: plan.tasks[0].pid) }
            try site.connections.watch(word: builder.commitWord, channels: builder.lifelines)
        } catch {
            builder.abandon()
            job?.takeTerminalBack()
            pidFile?.remove()
            throw error
        }
        builder.losses.forEach { logger.warning("\($0)") }
        builder.release { site.connections.release() }
        site.images.unlock()
        site.commit()
        job?.announceSize(plan)
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
        _ plan: RestorePlan, _ site: RestoreSite, _ options: RestoreOptions
    ) throws(Problem) -> TreeBuilder {
        let patience = Deadline(nanoseconds: 500_000_000)
        while true {
            site.beginAnew()
            let builder = try TreeBuilder(
                plan, site: site, sibling: options.sibling, progress: options.progress, deadline: .never)
            do throws(Problem) {
                try builder.build()
                options.progress.finish()
                // What the tree has inherited Apus must not hold: the end of a pipe would never be seen.
                site.letGo()
                return builder
            } catch {
                options.progress.finish()
                builder.abandon()
                guard error.code == .pidInUse, !patience.isPast, PidsInUse.problems(plan).isEmpty else { throw error }
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

extension [Problem] {
    /// Each problem once: several openings may meet the same.
    fileprivate func uniqued() -> [Problem] {
        var found: [Problem] = []
        for problem in self where !found.contains(problem) { found.append(problem) }
        return found
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
