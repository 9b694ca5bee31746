internal import Bundles
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
    /// Where the pages go, if not into the images.
    private let departure: Departure?
    private let logger: Logger
    private let deadline: Deadline
    private var clock = PhaseClock()
    private var statistics = Statistics()
    /// From here on there is something to take back.
    private var hasBegunWriting = false
    /// An older dump of the same process stood in the directory.
    private var replacesOlder = false
    /// The tree runs again already, and twins stand for it.
    private var hasThawed = false
    /// The TCP connections of the tree, while they are locked.
    private var connections: HeldConnections?
    /// What was declared complete.
    private var manifest: Manifest?
    /// How long threads had waited before the freeze.
    private var waits = ObservedWaits()

    /// How many files are open at the most for a small tree.
    private static let usualFiles: UInt64 = 1024

    init(_ options: DumpOptions, _ departure: Departure?, _ logger: Logger) {
        var options = options
        options.isWatched = departure?.isWatching ?? false
        self.options = options
        self.departure = departure
        self.logger = logger
        deadline = Deadline(seconds: options.timeout)
        statistics.dump = Statistics.Dump()
    }

    mutating func run() throws {
        defer { Steps.report() }
        Processes.raiseLimitOfFiles()
        Processes.makeRoom(forFiles: Self.usualFiles)
        try options.bundle?.check()
        let directory = try ImageDirectory(opening: options.imagesDirectory)
        try ImageSpace.check(directory, options)
        let work = try options.workDirectory.map { try ImageDirectory(opening: $0) }
        let scripts = ActionScripts(options.actionScripts, imagesDirectory: directory.path)
        try scripts.run(.preDump, pid: options.pid)
        // Whatever cannot be carried is found while the tree still runs.
        let running = try Survey.running(from: options.pid, options, locking: true)
        try Problems.throwIfAny(running.obstacles)
        // Started while the tree runs: most trees belong to one user.
        let domains = LandlockDomains(treeFrom: options.pid)
        clock.mark("survey", logger)
        makeRoom(for: running.first.processes)
        waits = ObservedWaits(running.first.processes)
        clock.mark("waits", logger)
        var host = HostRecord.current()
        host.processor.level = ProcessorLevel.kept(by: running.first.processes)
        let contents = try FileContents(of: running.first.processes, options, into: directory)
        clock.mark("files", logger)
        if departure?.part == .last { departure?.beforeStandstill() }
        let still = try StillTree(options, deadline, running.known, before: running.first, departure?.tracking, logger)
        let tree = still.tree
        statistics.dump?.freezingTime = clock.mark("freeze", logger)
        if still.retries > 0 {
            logger.info("the tree was let go \(still.retries) times, so that what was under way could arrive")
        }
        clock.stoodStill(since: still.since)
        if departure?.part == .last { departure?.stoodStillSince = still.since }
        do {
            let committed = try dump(still, into: directory, scripts, domains, contents, host)
            // The last moment at which they can be let go, or end with the tree.
            let ends = options.finally == .kill || departure?.part == .last
            if ends { connections?.surrender() } else { connections?.release() }
            committed.end(tree, options.finally, deadline)
            departure?.carrier.conclude()
            connections?.release()
            still.door?.open()
            if !hasThawed { statistics.dump?.frozenTime = clock.sinceFreeze() }
            clock.mark("end", logger)
        } catch let doubt as UnsettledFate {
            connections?.release()
            still.door?.open()
            tree.leaveStopped()
            throw doubt.problem
        } catch {
            connections?.release()
            still.door?.open()
            tree.thaw()
            departure?.carrier.conclude()
            // What cannot be removed either is worthless without the inventory and the manifest, which come last and go first.
            if hasBegunWriting { try? directory.clear() }
            logger.info("the tree runs on as before")
            throw reassuring(error)
        }
        // Images of a tree that leaves are of no use to anybody afterwards.
        if departure == nil { seal(directory, contents) }
        try report(work ?? directory)
    }

    /// Of each process the memory, the page map and the channel may be open at a time, and what of its own is kept from others.
    /// A migration has threads by now, and waits once, before the freeze.
    private func makeRoom(for processes: [SurveyedProcess]) {
        let own = processes.reduce(0) { $0 + 4 + $1.descriptors.count }
        Processes.makeRoom(forFiles: Self.usualFiles + UInt64(own))
    }

    /// Completes the manifest of a dump that stands. What fails here leaves it as it is, which is enough for a restore.
    private mutating func seal(_ directory: ImageDirectory, _ contents: FileContents) {
        // That of a bundle was completed before it was packed.
        guard var manifest, options.bundle == nil else { return }
        // --timeout is for what can be rolled back.
        Cancellation.setDeadline(seconds: 0)
        let committed = manifest
        contents.complete(&manifest.needed) { logger.warning("\($0)") }
        // The one that stands may say all of it already: it names every file of thousands, and is long then.
        if manifest == committed && manifest.files.allSatisfy({ $0.digest != nil }) { return }
        do throws(Problem) {
            try directory.seal(manifest, while: { !Cancellation.requested })
        } catch {
            logger.warning("The manifest lacks the digests of large images: \(error.description)")
        }
        clock.mark("digests", logger)
    }

    /// Tells who reads of a failure that nothing has happened to the processes.
    private func reassuring(_ error: any Error) -> any Error {
        let loss =
            replacesOlder
            ? ". The older dump that was in the directory is gone: give each dump a directory of its own" : ""
        return Problems.adding("The processes run on as before\(loss)", to: error)
    }

    /// Everything between the freeze and the commit.
    private mutating func dump(
        _ still: StillTree, into directory: ImageDirectory, _ scripts: ActionScripts,
        _ domains: LandlockDomains, _ contents: FileContents, _ host: HostRecord
    ) throws -> CommittedDump {
        // The tree may have changed until it stood still.
        let (tree, survey) = (still.tree, still.survey)
        try Problems.throwIfAny(survey.obstacles)
        if departure == nil {
            for (object, text) in OwnTerminals.find(survey) { logger.warning("\(object.description): \(text)") }
        }
        survey.uselessKeys.forEach {
            logger.warning("--external \($0) has no effect: nothing in the tree is called so")
        }
        var rings = try RingWatch(survey.processes)
        try rings.settle(deadline)
        clock.mark("second survey", logger)
        hasBegunWriting = true
        // A migration has a directory of its own, and the rehearsal's images in it.
        replacesOlder = try departure == nil && directory.holdsDump
        try directory.clear(keepsCopies: true)
        guard let circumstances = survey.finalCircumstances else { preconditionFailure("a survey ends with them") }
        // Images that only wait to be packed, or to be sent, need not reach the disk.
        let staysOnDisk = departure == nil && options.bundle?.keepsImages ?? true
        var images = DumpImages(
            directory, Descriptions(circumstances), loading: still.loading, durable: staysOnDisk)
        images.descriptions.reserve(segmentsOf: survey.processes.flatMap(\.areas))
        try hold(survey, images.descriptions, directory, scripts)
        // Behind the guard of connections, which is a copy of Apus with one thread.
        let locks = Errand { LockObstacles.held() }
        var twins = Twins(for: survey.processes, options, movesPages: departure == nil, logger)
        try capture(tree, survey, &images, &twins, domains)
        // Before the pages: what is under way may be shared memory.
        try images.descriptions.captureQueues()
        // The process is left alone from here on: to go through its mappings takes longer than all that is asked of it.
        let known = survey.known
        // What is judged by a rehearsal is looked at once more at the end.
        let isRehearsal = departure?.part == .rehearsal
        let confirmation = twins.areMade || isRehearsal ? nil : Errand { known.difference([:]) }
        clock.mark("capture", logger)
        try images.writeCommon(treeEntries(tree, survey), survey.clocks)
        // Beside the pages, but not while a tree waits that is to run on.
        let inventory = try DumpImages.inventory()
        let check =
            twins.areMade || departure != nil ? nil : ImageCheck(of: directory, inventory, by: options.verify)
        let records = try writePages(of: still, &images, &twins, rings, contents)
        let leaves = departure?.part == .last
        if !leaves, let problem = confirmation?.result { throw problem }
        if !leaves { reportLosses(still, locks.result) }
        statistics.dump?.pagesScanned = images.counters.scanned
        statistics.dump?.pagesWritten = images.counters.written
        // All images are written, and some are being looked at yet.
        let listed = check == nil ? nil : try directory.list(by: AllProcessors())
        // The other host will have built the tree of it before anything is given up here.
        if !leaves { try (check ?? ImageCheck(of: directory, inventory, by: options.verify)).finish() }
        clock.mark("verify", logger)
        if !hasThawed { try rings.confirm() }
        try connections?.keepLock()
        let declared = Declaration(
            inventory: inventory, host: host, root: root(survey),
            needed: try records ?? contents.records(of: images.descriptions.needed, warn: warn), listed: listed,
            digests: images.digests, isDurable: images.isDurable)
        let complete = try CompleteImages(directory, declared, contents, deadline, options, warn: warn)
        manifest = complete.manifest
        clock.mark("commit", logger)
        if let departure, leaves {
            try departure.carrier.deliver(directory)
            clock.mark("delivery", logger)
            if let problem = confirmation?.result { throw problem }
            clock.mark("confirmation", logger)
        }
        let committed = try complete.accepted(by: scripts, root: options.pid)
        try handOver(tree)
        // The tree would have stood still for the answer of the kernel, which was asked while it did.
        if leaves { reportLosses(still, locks.result) }
        // Names that a rehearsal gives to files are none that anybody will look for.
        if departure?.part != .rehearsal { images.descriptions.links.keep() }
        contents.keep()
        return committed
    }

    /// By what the tree will be known.
    private func root(_ survey: Survey) -> ManifestRoot? {
        survey.processes.first { $0.pid == options.pid }.map { OlderDump.root($0.stat) }
    }

    private func warn(_ text: String) { logger.warning("\(text)") }

    /// Writes page maps and pages, and lets the tree run on where it does not have to stand still for all of them.
    ///
    /// - Returns: the files that the tree needs, as they were when it stood still; nil where it still does.
    private mutating func writePages(
        of still: StillTree, _ images: inout DumpImages, _ twins: inout Twins, _ rings: RingWatch,
        _ contents: FileContents
    ) throws -> [NeededFile]? {
        let survey = still.survey
        let pages = try images.layOutPages(of: survey.processes.filter { !$0.isZombie })
        clock.mark("page tables", logger)
        let (now, later) = twins.areMade ? pages.divided() : (pages.jobs, [])
        if let departure {
            try images.carry(pages, by: departure, options.progress)
            try images.carryShared(by: departure)
        } else {
            // A tree that is to run on stands still for it.
            let digesting = options.finally == .kill
            try images.move(now, from: pages.sources, digesting: digesting, options.progress)
            try images.writeSharedPages(digesting: digesting, options.progress)
        }
        statistics.dump?.memdumpTime = clock.mark("pages", logger)
        var records: [NeededFile]?
        if departure?.part == .rehearsal || twins.areMade {
            // What is taken along of files that it writes to must not change meanwhile.
            records = try contents.records(of: images.descriptions.needed, warn: warn)
            try rings.confirm()
            thaw(still)
        }
        if twins.areMade {
            try survey.known.confirm(twins.pids)
            try images.move(
                later, from: twins.sources(for: pages.processes, images.counters), digesting: true, options.progress)
            statistics.dump?.memdumpTime += clock.mark("pages of the twins", logger)
            twins.end()
        }
        return records
    }

    /// Tells what does not come along and is too small to refuse the dump for.
    private func reportLosses(_ still: StillTree, _ held: [FileLock]) {
        still.loading.forEach { logger.warning("\(LoadingPrograms.warning($0))") }
        still.survey.processes.forEach { Losses.report($0, locks: held, skipping: options.skipInFlight, logger) }
    }

    /// Hands the tree over to the other host, where it is to go to one. From here on it stays stopped also when Apus dies.
    ///
    /// - Throws: what kept it from arriving: it is to run on here; `UnsettledFate` where nobody knows.
    private mutating func handOver(_ tree: FrozenTree) throws {
        guard let departure, departure.part == .last else { return }
        try departure.carrier.prepareHandOver()
        tree.pin()
        switch departure.carrier.handOver() {
        case .arrived: clock.mark("hand-over", logger)
        case .refused(let reason):
            tree.unpin()
            throw reason
        case .unknown(let problem): throw UnsettledFate(problem: problem)
        }
    }

    /// Keeps the network away from the connections of the tree: what is recorded of them shall stay so.
    private mutating func hold(
        _ survey: Survey, _ descriptions: Descriptions, _ directory: ImageDirectory, _ scripts: ActionScripts
    ) throws(Problem) {
        guard options.tcpEstablished && !options.tcpClose else { return }
        KeptLock.reminders().forEach { logger.warning("\($0)") }
        connections = try HeldConnections(
            among: survey.processes.flatMap(\.descriptors), victims: survey.processes.map(\.pid),
            locksNetwork: options.locksNetwork, keepsLock: options.finally == .kill && departure == nil,
            images: lastingPlace(of: directory),
            through: descriptions)
        descriptions.connections = connections
        guard let connections, connections.count > 0 else { return }
        try scripts.run(.networkLock, pid: options.pid)
        let words = options.locksNetwork ? "locked" : "the network is not locked (--network-lock skip)"
        logger.info("\(connections.count) TCP connections: \(words)")
        statistics.addresses = connections.addresses
        let addresses = connections.addresses.joined(separator: ", ")
        logger.info("a host that restores them has to have the addresses that they lead from: \(addresses)")
        clock.mark("network lock", logger)
    }

    /// Where the images will be when the dump is over; nil where nobody knows.
    private func lastingPlace(of directory: ImageDirectory) -> FilePath? {
        guard let bundle = options.bundle, !bundle.keepsImages else { return Self.place(of: directory) }
        guard case .file(let path) = bundle.place else { return nil }
        return Files.absolute(path)
    }

    /// The whole path of a directory; as it was given where that cannot be found out.
    private static func place(of directory: ImageDirectory) -> FilePath {
        let link = try? Files.readLink(FilePath("/proc/self/fd/\(directory.descriptor)"))
        return link.map { FilePath(bytes: $0) } ?? directory.path
    }

    /// Lets the tree run on before the dump stands: it is to run on in any case.
    private mutating func thaw(_ still: StillTree) {
        connections?.release()
        still.door?.open()
        still.tree.thaw()
        hasThawed = true
        statistics.dump?.frozenTime = clock.sinceFreeze()
        clock.mark("frozen to the end", logger)
    }

    /// Asks all processes, and writes their images but for the pages.
    private mutating func capture(
        _ tree: FrozenTree, _ survey: Survey, _ images: inout DumpImages, _ twins: inout Twins,
        _ domains: LandlockDomains
    ) throws {
        let scribe = ImageScribe(images.directory)
        do {
            try capture(tree, survey, &images, &twins, domains, scribe)
        } catch {
            scribe.abandon()
            throw error
        }
        try scribe.finish()
    }

    private mutating func capture(
        _ tree: FrozenTree, _ survey: Survey, _ images: inout DumpImages, _ twins: inout Twins,
        _ domains: LandlockDomains, _ scribe: ImageScribe
    ) throws {
        let ids = try identities(tree, survey)
        let memories = CommonMemory(tree, ids)
        var keyrings = KeyringLosses()
        var queues = PosixQueueContents(images.descriptions.circumstances)
        var systemV = SystemVUse(of: survey.processes.map { ($0.pid, $0.threads) })
        // A process whose pages are to be watched changes its own page tables.
        let (processes, looksAtPages) = (survey.processes, departure == nil)
        let facts = Ahead(processes.count) { (index: Int) -> Result<StillFacts, Problem>? in
            if processes[index].isZombie { return nil }
            return Result { () throws(Problem) in try StillFacts(processes[index], looksAtPages: looksAtPages) }
        }
        for round in CaptureRound.rounds(zip(tree.processes, survey.processes), ids) {
            try Cancellation.check()
            let captures = try round.map { member throws(Problem) -> ProcessCapture? in
                if ids[member.index] == nil { return nil }
                return try ProcessCapture(
                    process: member.process, surveyed: member.surveyed, memories: memories, waits: waits,
                    sets: systemV.sets, deadline: deadline)
            }
            try CaptureRound(captures.compactMap(\.self)).run(
                &twins, domains, &queues, watching: departure?.part == .rehearsal ? departure?.tracking : nil)
            for (member, capture) in zip(round, captures) {
                let surveyed = member.surveyed
                if member.process !== tree.root {
                    ExitSignal.capture(surveyed.pid, surveyed.stat, into: images.descriptions)
                }
                guard let capture, let own = ids[member.index], let seen = facts.take(member.index) else {
                    let zombie = ProcessCapture.zombie(surveyed)
                    try scribe.take(try images.images(of: zombie, surveyed, nil, TaskIdentities.own))
                    continue
                }
                let visible = try seen.get()
                let captured = try capture.finish(visible, &images.seccompFilters)
                try systemV.add(captured.undo, surveyed.object)
                statistics.roundTrips += UInt64(captured.roundTrips)
                keyrings.add(captured, surveyed.object)
                captured.losses.forEach { logger.warning("\(surveyed.object.description): \($0)") }
                let owner = memories.owner(of: surveyed.pid)
                departure?.note(captured.cores, memoryOf: owner)
                let known = departure?.part == .last ? departure?.tracking.looks(at: owner) : nil
                try scribe.take(
                    try images.images(of: captured, surveyed, visible, own, memoryOf: owner, seen: known ?? [:]))
            }
        }
        try images.descriptions.take(queues)
        try images.descriptions.capture(systemV)
        if departure?.part == .rehearsal { departure?.tracking.reasons.forEach { logger.info("\($0)") } }
        (images.descriptions.losses + domains.doubts + keyrings.texts).forEach { logger.warning("\($0)") }
    }

    /// What the processes share with each other, in their order; nil for those that have ended.
    private func identities(_ tree: FrozenTree, _ survey: Survey) throws(Problem) -> [TaskKobjIdsEntry?] {
        guard let sharing = survey.sharing else { preconditionFailure("a survey ends with it") }
        let identities = TaskIdentities(sharing)
        let clocks = survey.clocks
        var all: [TaskKobjIdsEntry?] = []
        for (index, (process, surveyed)) in zip(tree.processes, survey.processes).enumerated() {
            if process.isZombie || surveyed.isZombie {
                all.append(nil)
                continue
            }
            var ids = try identities.ids(of: process, surveyed, at: index)
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

/// The tree may run on another host, or not: nobody knows.
private struct UnsettledFate: Error {
    let problem: Problem
}
