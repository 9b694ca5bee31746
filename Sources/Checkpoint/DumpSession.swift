internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import Memory
internal import Objects
internal import Stages
internal import SystemPackage
internal import Tracing

/// One dump on its way, from the first look to the end of the original.
struct DumpSession {
    private let options: DumpOptions
    private let logger: Logger
    private let deadline: Deadline
    private var clock = PhaseClock()
    private var statistics = Statistics()

    init(_ options: DumpOptions, _ logger: Logger) {
        self.options = options
        self.logger = logger
        deadline = Deadline(seconds: options.timeout)
        statistics.dump = Statistics.Dump()
    }

    mutating func run() throws {
        defer { Steps.report() }
        let directory = try ImageDirectory(opening: options.imagesDirectory)
        try ImageSpace.check(directory)
        let scripts = ActionScripts(options.actionScripts, imagesDirectory: directory.path)
        try scripts.run(.preDump, pid: options.pid)
        // Whatever cannot be carried is found while the tree still runs.
        try Problems.throwIfAny(try Survey.obstacles(runningFrom: options.pid, options))
        clock.mark("survey", logger)
        let tree = try TreeFreezer.freeze(root: options.pid, deadline: deadline)
        statistics.dump?.freezingTime = clock.mark("freeze", logger)
        do {
            let committed = try dump(tree, into: directory, scripts)
            committed.end(tree, options.finally, deadline)
            statistics.dump?.frozenTime = clock.sinceFreeze()
            clock.mark("end", logger)
        } catch {
            tree.thaw()
            // What cannot be removed either is worthless without the manifest, which is the last to be written.
            try? directory.clear()
            logger.info("the tree runs on as before")
            throw error
        }
        try report(directory)
    }

    /// Everything between the freeze and the commit.
    private mutating func dump(
        _ tree: FrozenTree, into directory: ImageDirectory, _ scripts: ActionScripts
    ) throws -> CommittedDump {
        // The tree may have changed until it stood still.
        let survey = try Survey(frozen: tree.processes.map(\.pid), options)
        try Problems.throwIfAny(survey.obstacles)
        survey.processes.forEach { Losses.report($0, logger) }
        clock.mark("second survey", logger)
        try directory.clear()
        guard let circumstances = survey.finalCircumstances else { preconditionFailure("a survey ends with them") }
        var images = DumpImages(directory, Descriptions(circumstances))
        try capture(tree, survey, &images)
        clock.mark("capture", logger)
        for surveyed in survey.processes where !surveyed.isZombie {
            try images.writePages(of: surveyed, options.progress)
        }
        try images.writeSharedPages(options.progress)
        statistics.dump?.memdumpTime = clock.mark("pages", logger)
        statistics.dump?.pagesScanned = images.counters.scanned
        statistics.dump?.pagesWritten = images.counters.written
        try images.writeCommon(treeEntries(tree, survey))
        let complete = try CompleteImages(directory, deadline)
        clock.mark("commit", logger)
        return try complete.accepted(by: scripts, root: options.pid)
    }

    private mutating func capture(_ tree: FrozenTree, _ survey: Survey, _ images: inout DumpImages) throws {
        var identities = TaskIdentities()
        for (process, surveyed) in zip(tree.processes, survey.processes) {
            try Cancellation.check()
            if process.isZombie || surveyed.isZombie {
                try images.write(ProcessCapture.zombie(surveyed), surveyed, TaskIdentities.own)
                continue
            }
            let ids = try identities.ids(of: process, surveyed)
            let captured = try ProcessCapture(process: process, surveyed: surveyed, deadline: deadline)
                .run(&images.seccompFilters)
            captured.losses.forEach { logger.warning("\(surveyed.object.description): \($0)") }
            statistics.roundTrips += UInt64(captured.roundTrips)
            try images.write(captured, surveyed, ids)
        }
    }

    private func treeEntries(_ tree: FrozenTree, _ survey: Survey) -> [PstreeEntry] {
        zip(tree.processes, survey.processes).map { process, surveyed in
            DumpImages.treeEntry(surveyed, parent: process === tree.root ? 0 : process.parent)
        }
    }

    /// Tells what it cost. The dump stands already: what fails here is no failure of it.
    private func report(_ directory: ImageDirectory) throws {
        options.progress.finish()
        var entry = StatsEntry()
        entry.dump = StatisticsImage.entry(statistics)
        let place = options.workDirectory.flatMap { try? ImageDirectory(opening: $0) } ?? directory
        do throws(Problem) {
            try place.write([entry], as: .dumpStatistics)
        } catch {
            logger.warning("the statistics cannot be written: \(error.description)")
        }
        if let descriptor = options.statusDescriptor {
            // Whoever was to read it may have gone.
            try? Files.write(descriptor, [0])
            try? Files.close(descriptor)
        }
        options.report(statistics)
    }
}
