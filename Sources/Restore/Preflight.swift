internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage

/// Everything that a restore asks before it makes anything. `apus check DIR` asks the same, and stops there: so the two can
/// never disagree.
struct Preflight {
    let directory: ImageDirectory
    let images: CheckpointImages
    var plan: RestorePlan
    let site: RestoreSite
    /// The reading of large images.
    let contents: ContentCheck
    /// The root, where it was made before and the plan counts on it.
    private(set) var early: EarlyRoot?
    /// Everything that stands in the way, found in one look.
    private(set) var problems: [Problem]
    /// What is worth knowing, and what will be otherwise than it was.
    private(set) var notices: [String] = []
    private(set) var warnings: [String] = []

    /// Looks.
    ///
    /// - Parameters:
    ///   - seesPids: the pids that Apus sees are those among which the tree is to be: not so where it is to have a
    ///     namespace of its own and this is yet outside of it.
    ///   - early: the root, made before: it is ended where it does not suit.
    /// - Throws: where the images cannot be read, so that nothing else can be said.
    init(_ options: RestoreOptions, seesPids: Bool, seesOutside: Bool, early: EarlyRoot? = nil) throws {
        directory = try ImageDirectory(opening: options.imagesDirectory)
        // A dump into it meanwhile would change what is being read.
        try directory.lock(exclusively: false)
        var images = try CheckpointImages(reading: directory, by: AllProcessors())
        if images.manifest == nil && images.inventory.isOfApus {
            warnings.append(
                "\(directory.path) has lost its manifest (manifest.json): whether the images are still what they were cannot be"
                    + " told. Copy it again from where it was dumped")
        }
        contents = ContentCheck(directory, images.manifest, besides: !options.continueClocks)
        if options.detached { warnings += Self.forgetParentDeath(&images) }
        if options.beginsSession { images.beginSessionOfRoot() }
        images.setSessions(ofGiven: options.givenSessions)
        let strayed = Self.rebind(&images.files, options)
        let rights = HostRights.current()
        if let rights { warnings += rights.lowerLimits(&images) }
        self.images = images
        var layers = try PageLayers(of: directory)
        try layers.expand()
        layers.locator = options.pages
        (plan, problems, self.early) = try Self.plan(images, layers, options, early)
        if early != nil {
            let there = self.early?.filled ?? 0
            notices.append(
                self.early == nil
                    ? "The root that was made before does not suit the images, and is made anew"
                    : "The root was made before, and has \(there >> 20) MiB of the memory of the tree already")
        }
        problems = strayed + problems
        site = RestoreSite(
            images: directory,
            inherited: Dictionary(options.inherited.map { ($0.key, $0.descriptor) }) { _, last in last },
            shellJob: options.shellJob,
            choices: FileChoices(
                manifest: images.manifest, rules: options.fileRules, overwrites: options.overwriteFiles,
                isRehearsal: options.isRehearsal),
            state: options.stateDirectory)
        site.exactTerminals = options.exactTerminals
        site.devices = options.devices
        site.seesOutside = seesOutside
        site.comingAddresses = options.comingAddresses
        site.connectionPolicy = options.tcpClose ? .closed : options.tcpEstablished ? .carried : .refused
        askTheClocks(options)
        // Descriptors that the tree inherits stand above all of its own.
        Processes.raiseLimitOfFiles(to: plan.descriptorLimit)
        askTheHost(options, rights, seesPids: seesPids)
    }

    private static func plan(
        _ images: CheckpointImages, _ layers: PageLayers, _ options: RestoreOptions, _ early: EarlyRoot?
    ) throws -> (RestorePlan, [Problem], EarlyRoot?) {
        var host = try RestoreHost.current(for: images)
        host.late = options.late.map { LateTasks($0) }
        func examine() throws -> (plan: RestorePlan, problems: [Problem]) {
            try Planner.examine(
                images, pages: layers, host: host, shellJob: options.shellJob, leavesStopped: options.leaveStopped,
                securityProfile: options.securityProfile)
        }
        if let early {
            host.early = try early.offer(images, layers, options)
            if host.early != nil {
                let (plan, problems) = try examine()
                if early.suits(plan) { return (plan, problems, early) }
                host.early = nil
            }
            try early.giveBack(images)
            host.pidsInUse.remove(early.pid)
        }
        let (plan, problems) = try examine()
        return (plan, problems, nil)
    }

    /// Gives sockets the addresses that they are to have here.
    private static func rebind(_ files: inout FileTable, _ options: RestoreOptions) -> [Problem] {
        options.rebindings.compactMap { rebinding in
            if rebinding.apply(to: &files) > 0 { return nil }
            return Problem(
                .badRebinding,
                "--tcp-rebind \(rebinding): the images hold no socket without a connection that has that address",
                remedy: "apus show DIR tells the addresses; a connection lives at its own address alone")
        }
    }

    private mutating func askTheClocks(_ options: RestoreOptions) {
        let clock = TreeClock(images)
        plan.clocks = clock?.continued(options.continueClocks)
        let passed = clock?.report(isContinued: plan.clocks != nil)
        if let notice = passed?.notice { notices.append(notice) }
        if let warning = passed?.warning { warnings.append(warning) }
    }

    private mutating func askTheHost(_ options: RestoreOptions, _ rights: HostRights?, seesPids: Bool) {
        warnings += plan.notes
        warnings += rights?.losses(images) ?? []
        if images.manifest == nil, !images.streams.isEmpty, options.tcpEstablished {
            warnings.append(
                "CRIU holds TCP connections off with rules of iptables on the host of the dump, which Apus does not remove: see"
                    + " `iptables-save | grep 0xc114`, and delete them (iptables -D), or the connections stay cut off")
        }
        problems += HostObstacles.find(images, plan, options)
        problems += rights?.problems(images) ?? []
        // What is left out of a plan with problems is not useless.
        if problems.isEmpty { problems += site.uselessSubstitutes(plan.openings.map(\.resource)) }
        for problem in plan.openings.flatMap({ $0.resource.obstacles(at: site) }) where !problems.contains(problem) {
            problems.append(problem)
        }
        if seesPids { problems += PidsInUse.problems(plan, but: early?.pid) }
        problems += AsyncRequests.problems(plan) + Self.siblingProblems(plan, options)
        if case .string(let lock)? = images.supplement[.network, "lock"] { plan.networkLock = lock }
        if options.tcpEstablished { warnings += KeptLock.reminders(but: plan.networkLock) }
        warnings += site.choices.warnings + HostObstacles.warnings(images, options)
    }

    /// The parent that the root had is not in the images; its new one is Apus, whose leaving must not be the death that
    /// the root asked to be told of (PR_SET_PDEATHSIG of prctl(2)).
    private static func forgetParentDeath(_ images: inout CheckpointImages) -> [String] {
        guard !images.tasks.isEmpty else { return [] }
        // Those that nothing dies of may come.
        let harmless: Set<Int32> = [0, SIGCHLD, SIGCONT, SIGURG, SIGWINCH]
        var warnings: [String] = []
        for number in images.tasks[0].threads.indices {
            let signal = Int32(bitPattern: images.tasks[0].threads[number].core.threadCore.pdeathSig)
            if harmless.contains(signal) { continue }
            images.tasks[0].threads[number].core.threadCore.pdeathSig = 0
            warnings.append(
                "process \(images.tasks[0].pid): it is no longer sent a signal when its parent ends: detached, it has none"
            )
        }
        return warnings
    }

    /// A helper that makes the root would be a child of Apus' parent as the root is to be, and its remains would stay
    /// there: nobody but that parent can take note of its end.
    private static func siblingProblems(_ plan: RestorePlan, _ options: RestoreOptions) -> [Problem] {
        guard options.sibling, plan.first != 0, let root = plan.tasks.first, plan.tasks.indices.contains(plan.first)
        else { return [] }
        return [
            Problem(
                .sessionOutside,
                "the leader of its session, \(plan.tasks[plan.first].pid), has ended, and takes a helper to begin it, which"
                    + " cannot be a child of Apus' parent (--restore-sibling)",
                object: .init(pid: root.pid, process: root.name),
                remedy: "Restore without --restore-sibling, or use --exec-cmd for a parent of your choice")
        ]
    }
}
