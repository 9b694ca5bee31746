internal import Checkpoint
public import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Logging
internal import SystemPackage
internal import Tracing

/// The last word about a tree, seen from the host that it leaves: docs/protocol.md has the reasons.
final class Settlement {
    private let options: MigrationOptions
    private let uuid: String
    private let wire: Wire
    /// Those that move with the tree.
    private let addresses: LeavingAddresses
    private let logger: Logger
    private let journal: Journal
    /// The init of the pid namespace that the tree has there, as it is seen from outside; nil where it has none, or the other host
    /// has not told.
    private(set) var namespaceInit: Int32?
    /// Held until it is settled, or is not to be for now.
    private var lock: Journal.Lock?

    init(
        _ options: MigrationOptions, _ uuid: String, _ wire: Wire, _ addresses: LeavingAddresses, _ logger: Logger
    ) {
        self.options = options
        self.uuid = uuid
        self.wire = wire
        self.addresses = addresses
        self.logger = logger
        journal = Journal(of: .departures, in: options.stateDirectory)
    }

    /// Tests do not wait that long.
    private static let testTime = unsafe getenv("APUS_TEST_SETTLING_TIME").flatMap { unsafe Int(String(cString: $0)) }

    /// Writes down that the tree is about to be handed over.
    ///
    /// - Throws: `state-unwritable`; `interrupted` where somebody wants the work to stop, for the last time.
    func prepare() throws(Problem) {
        // From here on there is no way back but that of the other host: no signal and no clock decides.
        Cancellation.setDeadline(seconds: 0)
        try Cancellation.check()
        lock = try journal.lock(uuid)
        try journal.write(record(try addresses.remember()))
        Steps.take()
    }

    /// Tells the other host to let the tree run, which stands still here and stays so whatever happens. Addresses that move are
    /// taken away before; where the tree does not run there they come back.
    func handOver() -> Fate {
        wire.isDetermined = true
        defer { wire.isDetermined = false }
        do throws(Problem) { try addresses.leave() } catch { return .refused(error) }
        Steps.take()
        let fate = tell()
        Steps.take()
        guard case .refused(let reason) = fate else { return fate }
        let left = addresses.comeBack()
        Steps.take()
        guard let first = left.first else { return fate }
        return .refused(Problems(first, Array(left.dropFirst()) + Problems.all(of: reason)))
    }

    private func tell() -> Fate {
        let fate: Fate
        do throws(Problem) {
            try wire.send(.release)
            Steps.take()
            fate = try answer()
        } catch {
            logger.warning("\(error.description)")
            fate = settle(SystemClock.monotonic.now + UInt64(Self.testTime ?? options.settlingTime) * 1_000_000_000)
        }
        if case .unknown = fate { lock = nil }
        return fate
    }

    /// Sends what follows when the tree runs on the other host already.
    func follow(
        _ late: [PageSpace: [Range<UInt64>]], told: @escaping (MigrationEvent) -> Void
    ) -> (Fate, LateSending.Outcome?) {
        let sending = LateSending(uuid, options.command, options.host, of: Set(late.keys.compactMap(\.pid)), logger)
        sending.bandwidth = options.bandwidth
        sending.told = told
        switch sending.run(over: wire, late, seconds: Self.testTime ?? options.settlingTime) {
        case .complete(let outcome): return (.arrived, outcome)
        case .open(let problem):
            lock = nil
            return (.unknown(problem), nil)
        case .refused(let problem):
            let left = addresses.comeBack()
            guard let first = left.first else { return (.refused(problem), nil) }
            return (.refused(Problems(first, Array(left.dropFirst()) + [problem])), nil)
        }
    }

    /// Nothing is in doubt any more, neither here nor there.
    func conclude() {
        guard lock != nil else { return }
        Steps.take()
        journal.remove(uuid)
        lock = nil
    }

    private func answer() throws(Problem) -> Fate {
        while true {
            guard let frame = try wire.receive() else {
                throw Problem(.connectionLost, "\(options.host) has closed the connection", remedy: "")
            }
            switch frame.kind {
            case .released:
                namespaceInit = JSON(parsing: frame.body)?["init"]?.bits.flatMap { Int32(exactly: $0) }
                return .arrived
            case .failed: return .refused(Problems.of(frame, on: options.host))
            default: continue
            }
        }
    }

    /// Asks again and again over new connections.
    private func settle(_ limit: UInt64) -> Fate {
        while true {
            switch try? Self.ask(uuid, options.command, options.host) {
            // What follows is another matter.
            case .released, .partial: return .arrived
            case .aborted:
                return .refused(Self.neverRan(on: options.host))
            case .lost: return .unknown(LateSending.lost(uuid, options.host))
            case nil: break
            }
            if SystemClock.monotonic.now > limit { break }
            usleep(500_000)
        }
        return .unknown(
            Problem(
                .unsettled,
                "\(options.host) was told to let the tree run, and has not answered since: it may run there",
                object: .init(pid: options.dump.pid),
                remedy:
                    "The original stands still, stopped. When \(options.host) can be reached again, run: apus recover"))
    }

    /// The other host will not let it run.
    static func neverRan(on host: String) -> Problem {
        Problem(
            .connectionLost, "the connection to \(host) broke before the tree ran there", remedy: "Migrate again")
    }

    /// What the other host says of a tree.
    enum Word: Sendable {
        /// It runs there.
        case released
        /// It never will.
        case aborted
        /// It runs there, and pages of its memory have yet to come.
        case partial
        /// It ran there, and was ended before its memory had come.
        case lost

        init?(_ answer: JSON) {
            switch answer["state"]?.string.flatMap(Journal.Record.State.init(rawValue:)) {
            case .released: self = .released
            case .aborted: self = .aborted
            case .partial: self = .partial
            case .lost: self = .lost
            case .asked, .releasing, nil: return nil
            }
        }
    }

    /// What has become of a tree; by asking, it is decided: one that does not run yet never will.
    ///
    /// - Parameter kind: `goBack` where one whose memory has not come is not to go on there.
    static func ask(
        _ uuid: String, _ command: [String], _ host: String, _ kind: Frame.Kind = .question
    ) throws(Problem) -> Word {
        let shell = try RemoteShell(command, host: host)
        defer { shell.end() }
        shell.wire.isDetermined = true
        try shell.wire.send(kind, ["protocol": .integer(Int64(Frame.version)), "uuid": .string(uuid)])
        while let frame = try shell.wire.receive() {
            guard frame.kind == .fate, let answer = JSON(parsing: frame.body) else {
                if frame.kind == .alive { continue }
                if frame.kind == .failed, let problem = Problems.of(frame, on: host).all.first { throw problem }
                break
            }
            if let word = Word(answer) { return word }
        }
        throw Problem(.noAnswer, "\(host) does not know", remedy: "Run: apus recover")
    }

    private func record(_ addresses: JSON) -> Journal.Record {
        let processes = Procfs.live.tree(of: options.dump.pid).compactMap { pid in
            (try? ProcessDirectory(pid).stat()).map { (pid: pid, start: $0.startTime) }
        }
        return Journal.Record(
            uuid: uuid, state: .asked, pid: options.dump.pid, processes: processes, peer: options.host,
            command: options.command, addresses: addresses, pidNamespace: PidNamespaceMark.own.description)
    }
}

extension Problem.Code {
    /// It is not known on which host the tree is to run.
    public static let unsettled: Self = "migration-unsettled"
}
