internal import Bundles
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Logging
internal import Objects
internal import Restore
internal import SystemPackage

/// One migration, seen from the host that the tree comes to.
final class InwardJourney {
    private let options: Arrival.Options
    private let uuid: String
    private let wire: Wire
    private let logger: Logger
    private let scratch: ScratchFolder
    private let directory: ImageDirectory
    private let store = PageStore()
    private let unpacker = BlockUnpacker()
    /// Takes the place of one that has stayed behind.
    private let terminal: ComingTerminal?
    /// This is the init of a pid namespace for the tree.
    private let namespace: NamespaceInit?
    private var isRehearsed = false
    /// The root, where it is there already and takes pages.
    private var early: EarlyRoot?
    /// Where the other connections come in.
    private var door: ChannelDoor?
    /// What it is to be made of, until it was tried.
    private var rehearsed: RestoreOptions?
    /// Watches over pages that follow when the tree runs, where some may.
    private var keeper: LateKeeper?

    init(
        _ options: Arrival.Options, _ uuid: String, _ wire: Wire, _ terminal: ComingTerminal?,
        _ namespace: NamespaceInit?, _ logger: Logger
    ) throws(Problem) {
        self.options = options
        self.uuid = uuid
        self.wire = wire
        self.terminal = terminal
        self.namespace = namespace
        self.logger = logger
        scratch = try ScratchFolder(ScratchFolder.incoming, uuid)
        directory = try ImageDirectory(opening: scratch.path)
    }

    /// - Returns: the exit status, and the pid of the root where the tree runs.
    func run() throws -> (status: Int32, root: Int32?) {
        defer {
            door?.abandon()
            early?.abandon()
            scratch.remove()
            keeper?.dismiss()
        }
        let pulse = Pulse(wire)
        defer { pulse.end() }
        do {
            let host = HostRecord.current()
            try wire.send(
                .welcome,
                [
                    "protocol": .integer(Int64(Frame.version)), "node": .string(host.node),
                    "kernel": .string(host.kernel), "terminal": .bool(terminal != nil),
                    "pid-namespace": .bool(namespace != nil),
                ])
            return try serve()
        } catch {
            let problems = Problems.all(of: error)
            terminal?.leave()
            try? wire.send(.failed, ["problems": JSON.problems(problems)])
            // The source says it: here it would be said a second time on the same terminal.
            for problem in problems { logger.info("\(problem.description)") }
            return (1, nil)
        }
    }

    private func serve() throws -> (status: Int32, root: Int32?) {
        while true {
            // The source may take its time with a tree that is large, or look at its files.
            guard var frame = try wire.receive(patience: Wire.longPatience) else { throw hungUp }
            if frame.kind == .packed { frame = try PackedFrame.open(frame.body, unpacker) }
            switch frame.kind {
            case .file:
                if isRehearsed {
                    try directory.clear(keepsCopies: true)
                    isRehearsed = false
                }
                try ImageShipment.take(frame.body, into: directory)
            case .rehearsed: try judge(JSON(parsing: frame.body) ?? [:])
            case .pages, .sparse:
                makeRoot()
                _ = try store.take(frame.body, isSparse: frame.kind == .sparse)
            case .round:
                try checkChannels()
                try wire.send(.received)
            case .channels: try openDoor(JSON(parsing: frame.body) ?? [:])
            case .layout: try store.takeLayout(frame.body)
            case .late:
                guard keeper != nil else { throw BodyReader.malformed }
                try store.takeLate(frame.body)
            case .outdated: try forget(frame.body)
            case .last:
                try door?.close()
                return try build(JSON(parsing: frame.body) ?? [:])
            case .abort: throw Self.aborted
            case .alive: continue
            case .hello, .welcome, .verdict, .received, .ready, .release, .released, .failed, .question, .fate, .wanted,
                .complete, .resume, .outstanding, .resumed, .goBack, .packed, .join, .finished:
                throw BodyReader.malformed
            }
        }
    }

    private var hungUp: Problem {
        Problem(.connectionLost, "the source has closed the connection", remedy: "Nothing is left here; migrate again")
    }

    private static let aborted = Problem(
        .interrupted, "the source has given up", remedy: "Nothing is left here; see what it says")

    /// Says whether the tree could be restored here.
    private func judge(_ wishes: JSON) throws {
        isRehearsed = true
        var options = restoreOptions(wishes)
        options.isRehearsal = true
        let coming = try ComingAddresses.wished(wishes)
        options.comingAddresses = Set(coming.map(\.address.bytes))
        // Before pids are looked at: the keeper has one.
        let late = lateObstacle(wishes)
        let check = RestoreCheck(options)
        var problems = ComingAddresses.obstacles(coming) + check.problems
        if wishes["postcopy"]?.string == "always", let late { problems.append(late) }
        rehearsed = problems.isEmpty ? options : nil
        try wire.send(
            .verdict,
            [
                "problems": JSON.problems(problems), "warnings": .array(check.warnings.map { .string($0) }),
                "late": .bool(late == nil), "late-problems": JSON.problems(late.map { [$0] } ?? []),
            ])
    }

    /// Why pages cannot follow when the tree runs; where they may, somebody to watch over them is there from now on.
    private func lateObstacle(_ wishes: JSON) -> Problem? {
        guard wishes["postcopy"]?.string ?? "never" != "never", keeper == nil else { return nil }
        do throws(Errno) { try LateArrival.probe() } catch {
            return Problem(
                .lateUnavailable, "pages cannot follow when the tree runs here",
                cause: .init(error, attempted: "userfaultfd"), remedy: LateArrival.lateRemedy)
        }
        do throws(Problem) { keeper = try LateKeeper(options, uuid) } catch { return error }
        return nil
    }

    /// Makes the root before the first pages come, so that they can be put into its memory.
    private func makeRoot() {
        guard let options = rehearsed else { return }
        rehearsed = nil
        early = EarlyRoot(rehearsed: options)
        early?.pages = store
        if let memory = early?.memory { store.fill(memory) }
        logger.info(early == nil ? "The root is made when all is there" : "The root is there, and is filled")
    }

    /// What is out of date is taken away while the tree runs there: when it stands still that would take its time.
    private func forget(_ body: [UInt8]) throws(Problem) {
        let placed = try store.forget(body)
        try early?.drop(placed)
    }

    /// Other connections come, for pages.
    private func openDoor(_ wishes: JSON) throws(Problem) {
        guard door == nil else { throw BodyReader.malformed }
        makeRoot()
        door = try ChannelDoor(wishes, in: scratch.folder, store, logger)
        try wire.send(.received)
    }

    private func checkChannels() throws(Problem) { if let problem = door?.failure { throw problem } }

    private func restoreOptions(_ wishes: JSON) -> RestoreOptions {
        func flag(_ name: String) -> Bool { wishes[name]?.isTrue ?? false }
        var restore = RestoreOptions(imagesDirectory: scratch.path)
        restore.detached = true
        restore.isInside = namespace != nil
        restore.fileLocks = flag("file-locks")
        restore.tcpEstablished = flag("tcp-established")
        restore.tcpClose = flag("tcp-close")
        restore.externalUnixSockets = flag("ext-unix-sk")
        restore.comparesProcessors = flag("compares-processors")
        restore.continueClocks = flag("continue-clocks")
        restore.overwriteFiles = flag("overwrite-files")
        restore.locksNetwork = flag("locks-network")
        restore.stateDirectory = options.stateDirectory
        restore.beginsSession = wishes["terminal"]?["begins-session"]?.isTrue ?? false
        terminal?.apply(wishes["terminal"] ?? .null, to: &restore)
        for rule in wishes.texts("file") { _ = restore.fileRules.add(Array(rule.utf8)) }
        return restore
    }

    // MARK: The tree

    /// Builds the tree, and lets it run when it is told to.
    private func build(_ wishes: JSON) throws -> (status: Int32, root: Int32?) {
        var restore = restoreOptions(wishes)
        restore.pages = store
        terminal?.tell(wishes["terminal"] ?? .null)
        let late = try lateArrival()
        restore.late = late
        let coming = try ComingAddresses(ComingAddresses.wished(wishes), logger)
        // Not where they have come to stay.
        defer { coming.withdraw() }
        let release = Release(
            uuid, wire, Journal(of: .arrivals, in: options.stateDirectory), directory, coming, late: late, namespace)
        restore.permission = { () throws(Problem) in try release.wait() }
        restore.committed = { release.done() }
        let root = try directory.first(.pstree).map { Int32(bitPattern: $0.pid) }
        let status = try Restoration.run(restore, early: early, logger: logger)
        if !coming.isEmpty {
            // An announcement may be lost, as any packet.
            usleep(100_000)
            coming.announce()
        }
        guard let late else { return (status, root) }
        keeper = nil
        return (late.wait() ? status : 1, root)
    }

    /// What brings the pages that have been announced to follow; nil where none have.
    private func lateArrival() throws(Problem) -> LateArrival? {
        let runs = store.late
        guard let keeper, !runs.isEmpty else { return nil }
        return try LateArrival(runs, keeper, uuid, options, logger)
    }
}
