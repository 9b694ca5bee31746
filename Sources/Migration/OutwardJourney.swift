internal import Checkpoint
internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import Objects
internal import SystemPackage
internal import Tracing

/// One migration, seen from the host that the tree leaves.
struct OutwardJourney {
    private let options: MigrationOptions
    private let logger: Logger
    private var began = SystemClock.monotonic.now
    private var pulse: Pulse?
    private let uuid: String
    private let scratch: ScratchFolder
    private let shell: RemoteShell
    private let wire: Wire
    private let courier: Courier
    private let images = ImageShipment()
    private let addresses: LeavingAddresses
    private let terminal: LeavingTerminal
    private let departure: Departure
    private let slowdown: Slowdown?
    private var summary = MigrationSummary()
    /// The other host can have memory follow.
    private var canFollow = false

    init(_ options: MigrationOptions, _ logger: Logger) throws {
        self.options = options
        self.logger = logger
        // Asked before anything is begun.
        if (try? ProcessDirectory(options.dump.pid).stat()) == nil {
            throw Problem(
                .noSuchProcess, "there is no such process", object: .init(pid: options.dump.pid),
                remedy: "Look for the right pid with `ps -e --forest`")
        }
        try Doubt.check(options.dump.pid, in: options.stateDirectory)
        addresses = try LeavingAddresses(options.addresses, logger)
        terminal = try LeavingTerminal(options, logger)
        uuid = try RandomName.make()
        scratch = try ScratchFolder("apus-outgoing-", uuid)
        shell = try RemoteShell(options.command, host: options.host)
        wire = shell.wire
        courier = Courier(
            wire, images, Settlement(options, uuid, wire, addresses, logger), compression: options.compression)
        departure = Departure(courier)
        slowdown = options.throttles ? Slowdown(of: options.dump.pid, logger) : nil
        // Until the last moment: what it writes then is sent while it stands still.
        departure.beforeStandstill = { [slowdown] in slowdown?.end() }
    }

    mutating func run() throws -> MigrationSummary {
        try prepare()
        return try depart()
    }

    /// Has the other host judge whether it can take the tree, which runs on.
    mutating func prepare() throws {
        logger.info("migration \(uuid) to \(options.host)")
        do {
            try greet()
            try addresses.checkConnection()
            try rehearse()
        } catch {
            giveUp(error)
            throw Self.reassuring(error)
        }
    }

    /// Shows the other host that this one is alive, until the tree departs.
    mutating func wait() { pulse = Pulse(wire) }

    /// Sends the tree, which was judged.
    mutating func depart() throws -> MigrationSummary {
        if let pulse {
            pulse.end()
            // What was before its turn came is not its own time.
            began = SystemClock.monotonic.now
        }
        pulse = nil
        do {
            do {
                try courier.open(options, uuid)
                try sendAhead()
            } catch { throw Self.reassuring(error) }
            try leave()
        } catch {
            giveUp(error)
            throw error
        }
        shell.end()
        end()
        summary.total = SystemClock.monotonic.now - began
        summary.sent = wire.sent + courier.bytesBeside
        courier.count(into: &summary)
        (summary.slowed, summary.slowedShare) = (slowdown?.stood ?? 0, slowdown?.share ?? 0)
        summary.addresses = addresses.names
        summary.keptOriginal = options.keeps ? options.dump.pid : nil
        (summary.hasOwnPids, summary.namespaceInit) = (options.hasOwnPids, courier.namespaceInit)
        summary.terminal = terminal.isKept ? uuid : nil
        options.told(.arrived(summary))
        return summary
    }

    /// What a dump advises has another way out in a migration.
    private func reworded(_ error: any Error) -> any Error {
        let place = scratch.folder.removingLastComponent()
        return Problems.rewording(terminal.reworded(error)) { problem in
            guard problem.remedy.contains("--images-dir") else { return }
            problem.remedy = "Make room in \(place), where the images are on their way"
        }
    }

    /// Tells who reads of a failure that nothing has happened to the processes.
    private static func reassuring(_ error: any Error) -> any Error {
        Problems.adding("The processes run on as before", to: error)
    }

    /// The tree runs on here, or stands still: the other host is to leave nothing.
    mutating func giveUp(_ error: any Error) {
        pulse?.end()
        pulse = nil
        // The other side takes down what it has made when it is told, or when the connection ends.
        try? wire.send(.abort, ["problems": JSON.problems(Problems.all(of: error))])
        shell.end()
        end()
    }

    private func end() {
        courier.close()
        slowdown?.end()
        departure.end()
        scratch.remove()
    }

    private func greet() throws {
        do throws(Problem) {
            var words: [JSON.Member] = [
                .init("protocol", .integer(Int64(Frame.version))), .init("uuid", .string(uuid)),
            ]
            if options.hasOwnPids { words.append(.init("pid-namespace", true)) }
            try wire.send(.hello, terminal.hello(words))
        } catch {
            // Who does not listen may have said why.
            if error.code == .connectionLost { try courier.expect(.welcome) }
            throw error
        }
        let welcome = try courier.expect(.welcome)
        guard welcome["protocol"]?.bits == UInt64(Frame.version) else {
            throw Problem(
                .badProtocol, "\(options.host) speaks another version of the protocol",
                remedy: "Install the same version of Apus on both hosts")
        }
        try terminal.confirm(welcome, options.host)
        if options.hasOwnPids, welcome["pid-namespace"]?.isTrue != true {
            throw Problem(
                .badProtocol, "\(options.host) does not know how to make a pid namespace for the tree",
                remedy: "Install the same version of Apus on both hosts")
        }
        options.told(
            .reached(node: welcome["node"]?.string ?? options.host, kernel: welcome["kernel"]?.string ?? ""))
    }

    // MARK: Rehearsal

    /// Has the other host judge whether it can take the tree.
    private mutating func rehearse() throws {
        var problems = try rehearsal(shipping: options.dump.shipping)
        if !problems.isEmpty, options.ships, options.dump.shipping == .none {
            // Perhaps it is a matter of files.
            problems = try rehearsal(shipping: .auto)
        }
        try Problems.throwIfAny(problems.map { $0.on(options.host) })
    }

    private mutating func rehearsal(shipping: DumpOptions.Shipping) throws -> [Problem] {
        departure.part = .rehearsal
        var dump = dumpOptions(shipping)
        dump.finally = .run
        dump.actionScripts = []
        let frozen = Measure()
        dump.report = { frozen.set(UInt64($0.dump?.frozenTime ?? 0) * 1000) }
        do { try Dump.run(dump, departure: departure, logger: logger) } catch { throw reworded(error) }
        summary.rehearsal += frozen.value
        let directory = try ImageDirectory(opening: scratch.path)
        try images.send(directory, in: courier.parcels)
        try wire.send(.rehearsed, restoreOptions)
        let verdict = try courier.expect(.verdict)
        let problems = verdict.problems("problems")
        if problems.isEmpty {
            canFollow = verdict["late"]?.isTrue ?? false
            for problem in verdict.problems("late-problems") where options.postcopy == .auto {
                logger.warning("\(problem.on(options.host).description)")
            }
            options.told(.judged(frozen: frozen.value, warnings: verdict.texts("warnings")))
            shipped = shipping
        }
        return problems
    }

    private var shipped = DumpOptions.Shipping.none

    private func dumpOptions(_ shipping: DumpOptions.Shipping) -> DumpOptions {
        var dump = options.dump
        dump.imagesDirectory = scratch.path
        dump.shipping = shipping
        terminal.apply(to: &dump)
        return dump
    }

    /// What the restore is to allow.
    private var restoreOptions: JSON {
        [
            "file-locks": .bool(options.dump.fileLocks), "tcp-established": .bool(options.dump.tcpEstablished),
            "tcp-close": .bool(options.dump.tcpClose), "ext-unix-sk": .bool(options.dump.externalUnixSockets),
            "file": .array(options.fileRules.map { .string($0) }),
            "compares-processors": .bool(options.comparesProcessors),
            "overwrite-files": .bool(options.overwritesFiles),
            "continue-clocks": .bool(options.continuesClocks), "locks-network": .bool(options.dump.locksNetwork),
            "addresses": addresses.wishes, "terminal": terminal.wishes, "postcopy": .string(options.postcopy.rawValue),
        ]
    }

    // MARK: Memory

    /// Sends memory while the tree runs.
    private mutating func sendAhead() throws {
        // The rest follows anyway: further rounds are worth while where they are much shorter than the last.
        let isFollowed = options.postcopy == .always
        let mostRounds = isFollowed ? min(options.mostRounds, 3) : options.mostRounds
        departure.sendsLate = canFollow && options.postcopy != .never
        guard mostRounds > 0, departure.isWatching else { return }
        courier.bandwidth = options.bandwidth
        defer { courier.bandwidth = nil }
        let forecast = Forecast(
            limit: options.downtimeLimit * 1_000_000, fixed: summary.rehearsal, mostRounds: mostRounds)
        courier.told = { [told = options.told] carried in
            let (number, size) = forecast.round
            let left = forecast.left(carried: carried, at: SystemClock.monotonic.now)
            told(.carried(.init(round: number, done: forecast.sent(carried), of: size, all: carried, left: left)))
        }
        defer { courier.told = { _ in } }
        var pace = Pace(limit: options.downtimeLimit * 1_000_000, fixed: summary.rehearsal)
        for number in 1...mostRounds {
            let start = SystemClock.monotonic.now
            let limit = isFollowed && departure.sendsLate ? summary.rounds.last.map { $0.size / 4 } ?? .max : .max
            let size = try departure.sendWritten(unlessMoreThan: limit) {
                forecast.begin(size: $0, carried: courier.carried, at: start)
            }
            try courier.finishRound()
            guard let size else { break }
            forecast.end(at: SystemClock.monotonic.now)
            let round = MigrationSummary.Round(number: number, size: size, time: SystemClock.monotonic.now - start)
            summary.rounds.append(round)
            pace.add(size: size, time: round.time)
            // Where it was the last one, the pause is what is left.
            var isLast = pace.isGoodEnough || number == mostRounds
            if let slowdown, pace.isDiverging, number < mostRounds, slowdown.raise() {
                isLast = false
                options.told(.slowed(share: slowdown.share))
                logger.info("the tree is slowed: it stands still for \(Int(slowdown.share * 100)) % of the time")
            }
            let left = isLast ? nil : forecast.left(carried: courier.carried, at: SystemClock.monotonic.now)
            options.told(
                .round(round, predictedPause: pace.predictedPause, left: max(left ?? 0, pace.predictedPause)))
            logger.info("round \(number): \(size) bytes in \(round.time / 1_000_000) ms")
            if isLast { break }
        }
        if options.postcopy == .auto, pace.predictedPause <= options.downtimeLimit * 1_000_000 {
            departure.sendsLate = false
        }
    }

    // MARK: The last part

    private mutating func leave() throws {
        options.told(.stopping)
        departure.part = .last
        var dump = dumpOptions(shipped)
        dump.finally = options.keeps ? .stop : .kill
        let before = courier.carried
        courier.final = restoreOptions
        courier.toldLate = options.told
        // From here on the tree stands still: a limit ends that.
        Cancellation.setDeadline(seconds: dump.timeout)
        do { try Dump.run(dump, departure: departure, logger: logger) } catch { throw reworded(error) }
        Cancellation.setDeadline(seconds: 0)
        summary.lastSize = courier.carried - before
        let since = departure.stoodStillSince ?? began
        summary.pause = (courier.releasedSince ?? since) - since
        summary.untilReady = (courier.readySince ?? since) - since
        if let followed = courier.followed {
            summary.late = MigrationSummary.Late(
                size: courier.lateSize, time: (courier.followedSince ?? since) - (courier.releasedSince ?? since),
                faults: followed.faults, medianWait: followed.medianWait)
        }
    }
}
