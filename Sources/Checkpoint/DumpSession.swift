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
    /// From here on there is something to take back.
    private var hasBegunWriting = false
    /// The tree runs again already, and twins stand for it.
    private var hasThawed = false
    /// The TCP connections of the tree, while they are locked.
    private var connections: HeldConnections?
    /// How long threads had waited before the freeze.
    private var waits = ObservedWaits()

    init(_ options: DumpOptions, _ logger: Logger) {
        self.options = options
        self.logger = logger
        deadline = Deadline(seconds: options.timeout)
        statistics.dump = Statistics.Dump()
    }

    mutating func run() throws {
        defer { Steps.report() }
        Processes.raiseLimitOfFiles()
        let directory = try ImageDirectory(opening: options.imagesDirectory)
        try ImageSpace.check(directory, options)
        let work = try options.workDirectory.map { try ImageDirectory(opening: $0) }
        let scripts = ActionScripts(options.actionScripts, imagesDirectory: directory.path)
        try scripts.run(.preDump, pid: options.pid)
        // Whatever cannot be carried is found while the tree still runs.
        let running = try Survey.running(from: options.pid, options)
        try Problems.throwIfAny(running.obstacles)
        // Started while the tree runs: most trees belong to one user.
        let domains = LandlockDomains(treeFrom: options.pid)
        clock.mark("survey", logger)
        waits = ObservedWaits(running.first.processes)
        clock.mark("waits", logger)
        let still = try StillTree(options, deadline, running.known, strangers: running.first.strangers)
        let tree = still.tree
        statistics.dump?.freezingTime = clock.mark("freeze", logger)
        if still.retries > 0 {
            logger.info("the tree was let go \(still.retries) times, so that what was under way could arrive")
        }
        clock.stoodStill(since: still.since)
        do {
            let committed = try dump(still, into: directory, scripts, domains)
            // The last moment at which they can be let go, or end with the tree.
            if options.finally == .kill { connections?.surrender() } else { connections?.release() }
            committed.end(tree, options.finally, deadline)
            connections?.release()
            if !hasThawed { statistics.dump?.frozenTime = clock.sinceFreeze() }
            clock.mark("end", logger)
        } catch {
            connections?.release()
            tree.thaw()
            // What cannot be removed either is worthless without the manifest, which is the last to be written.
            if hasBegunWriting { try? directory.clear() }
            logger.info("the tree runs on as before")
            throw Self.reassuring(error)
        }
        try report(work ?? directory)
    }

    /// Tells who reads of a failure that nothing has happened to the processes.
    private static func reassuring(_ error: any Error) -> any Error {
        let note = "The processes run on as before"
        switch error {
        case var problem as Problem:
            problem.remedy += problem.remedy.isEmpty ? note : ". \(note)"
            return problem
        case let problems as Problems:
            guard var last = problems.all.last else { return problems }
            last.remedy += ". \(note)"
            let all = Array(problems.all.dropLast()) + [last]
            return Problems(all[0], Array(all.dropFirst()))
        default: return error
        }
    }

    /// Everything between the freeze and the commit.
    private mutating func dump(
        _ still: StillTree, into directory: ImageDirectory, _ scripts: ActionScripts,
        _ domains: LandlockDomains
    ) throws -> CommittedDump {
        // The tree may have changed until it stood still.
        let (tree, survey) = (still.tree, still.survey)
        try Problems.throwIfAny(survey.obstacles)
        survey.processes.forEach { Losses.report($0, logger) }
        survey.uselessKeys.forEach {
            logger.warning("--external \($0) has no effect: nothing in the tree is called so")
        }
        var rings = try RingWatch(survey.processes)
        try rings.settle(deadline)
        clock.mark("second survey", logger)
        hasBegunWriting = true
        try directory.clear()
        guard let circumstances = survey.finalCircumstances else { preconditionFailure("a survey ends with them") }
        var images = DumpImages(directory, Descriptions(circumstances))
        images.descriptions.reserve(segmentsOf: survey.processes.flatMap(\.areas))
        try hold(survey, images.descriptions, scripts)
        var twins = Twins(for: survey.processes, options, logger)
        try capture(tree, survey, &images, &twins, domains)
        // Before the pages: what is under way may be shared memory.
        try images.descriptions.captureQueues()
        if !twins.areMade { try survey.known.confirm([:]) }
        clock.mark("capture", logger)
        let pages = try images.layOutPages(of: survey.processes.filter { !$0.isZombie })
        clock.mark("page tables", logger)
        let (now, later) = twins.areMade ? pages.divided() : (pages.jobs, [])
        try images.move(now, from: pages.sources, options.progress)
        try images.writeSharedPages(options.progress)
        statistics.dump?.memdumpTime = clock.mark("pages", logger)
        try images.writeCommon(treeEntries(tree, survey), survey.clocks)
        if twins.areMade {
            try rings.confirm()
            thaw(tree)
            try survey.known.confirm(twins.pids)
            try images.move(later, from: twins.sources(for: pages.processes, images.counters), options.progress)
            statistics.dump?.memdumpTime += clock.mark("pages of the twins", logger)
            twins.end()
        }
        statistics.dump?.pagesScanned = images.counters.scanned
        statistics.dump?.pagesWritten = images.counters.written
        try options.verify(directory)
        clock.mark("verify", logger)
        if !hasThawed { try rings.confirm() }
        try connections?.keepLock()
        let complete = try CompleteImages(directory, deadline)
        clock.mark("commit", logger)
        let committed = try complete.accepted(by: scripts, root: options.pid)
        images.descriptions.links.keep()
        return committed
    }

    /// Keeps the network away from the connections of the tree: what is recorded of them shall stay so.
    private mutating func hold(
        _ survey: Survey, _ descriptions: Descriptions, _ scripts: ActionScripts
    ) throws(Problem) {
        guard options.tcpEstablished && !options.tcpClose else { return }
        connections = try HeldConnections(
            among: survey.processes.flatMap(\.descriptors), victims: survey.processes.map(\.pid),
            locksNetwork: options.locksNetwork, keepsLock: options.finally == .kill, through: descriptions)
        descriptions.connections = connections
        guard let connections else { return }
        try scripts.run(.networkLock, pid: options.pid)
        let words = options.locksNetwork ? "locked" : "the network is not locked (--network-lock skip)"
        logger.info("\(connections.count) TCP connections: \(words)")
        clock.mark("network lock", logger)
    }

    /// Lets the tree run on before the dump stands: it is to run on in any case.
    private mutating func thaw(_ tree: FrozenTree) {
        connections?.release()
        tree.thaw()
        hasThawed = true
        statistics.dump?.frozenTime = clock.sinceFreeze()
        clock.mark("frozen to the end", logger)
    }

    private mutating func capture(
        _ tree: FrozenTree, _ survey: Survey, _ images: inout DumpImages, _ twins: inout Twins,
        _ domains: LandlockDomains
    ) throws {
        let ids = try identities(tree, survey)
        let memories = CommonMemory(tree, ids)
        var keyrings = KeyringLosses()
        var queues = PosixQueueContents(images.descriptions.circumstances)
        var systemV = SystemVUse(of: survey.processes.map { ($0.pid, $0.threads) })
        for ((process, surveyed), ids) in zip(zip(tree.processes, survey.processes), ids) {
            try Cancellation.check()
            if process !== tree.root { ExitSignal.capture(surveyed.pid, surveyed.stat, into: images.descriptions) }
            guard let ids else {
                try images.write(ProcessCapture.zombie(surveyed), surveyed, TaskIdentities.own)
                continue
            }
            let captured = try ProcessCapture(
                process: process, surveyed: surveyed, memories: memories, waits: waits, sets: systemV.sets,
                deadline: deadline
            ).run(&images.seccompFilters, &twins, domains, &queues)
            images.descriptions.take(queues)
            try systemV.add(captured.undo, surveyed.object)
            statistics.roundTrips += UInt64(captured.roundTrips)
            keyrings.add(captured, surveyed.object)
            captured.losses.forEach { logger.warning("\(surveyed.object.description): \($0)") }
            try images.write(captured, surveyed, ids, memoryOf: memories.owner(of: surveyed.pid))
        }
        try images.descriptions.capture(systemV)
        (images.descriptions.losses + domains.doubts + keyrings.texts).forEach { logger.warning("\($0)") }
    }

    /// What the processes share with each other, in their order; nil for those that have ended.
    private func identities(_ tree: FrozenTree, _ survey: Survey) throws(Problem) -> [TaskKobjIdsEntry?] {
        var identities = TaskIdentities()
        let clocks = survey.clocks
        var all: [TaskKobjIdsEntry?] = []
        for (process, surveyed) in zip(tree.processes, survey.processes) {
            if process.isZombie || surveyed.isZombie {
                all.append(nil)
                continue
            }
            var ids = try identities.ids(of: process, surveyed)
            ids.timeNsID = clocks.number(own: ids.timeNsID)
            all.append(ids)
        }
        return all
    }

    private func treeEntries(_ tree: FrozenTree, _ survey: Survey) -> [PstreeEntry] {
        zip(tree.processes, survey.processes).map { process, surveyed in
            DumpImages.treeEntry(surveyed, parent: process === tree.root ? 0 : process.parent)
        }
    }

    /// Tells what it cost. The dump stands already: what fails here is no failure of it.
    private func report(_ place: ImageDirectory) throws {
        options.progress.finish()
        var entry = StatsEntry()
        entry.dump = StatisticsImage.entry(statistics)
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
