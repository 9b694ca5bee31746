internal import Checkpoint
internal import Diagnostics
internal import Glibc
internal import Linux
internal import Logging
internal import Memory
internal import Restore
internal import Synchronization
internal import SystemPackage
internal import Tracing

/// Pages that follow when a tree runs here already: from the restore, which leaves them out, to the moment in which all are there.
final class LateArrival: LateMemory {
    let runs: [Int32: [Range<UInt64>]]
    let keeper: LateKeeper
    private let uuid: String
    private let options: Arrival.Options
    private let journal: Journal
    private let meeting: LateMeeting
    private let logger: Logger
    private let pair: Pair
    private let state = Mutex(State())
    private let isOver = Semaphore()

    private struct State {
        var faults: [Int32: UserFaults] = [:]
        var isServed = false
        var ending = LateServer.Ending.givenUp
    }

    private final class Pair: Sendable {
        let own, theirs: OwnedDescriptor

        init() throws(Errno) {
            let pair = try Files.socketPair(type: Sockets.sequencedPackets)
            own = pair.first
            theirs = pair.second
        }
    }

    /// Whether this host can have pages follow.
    ///
    /// - Throws: EPERM, EINVAL or ENOSYS where it cannot.
    static func probe() throws(Errno) { try UserFaults.make().begin() }

    /// - Parameters:
    ///   - runs: what follows.
    ///   - keeper: watches over it.
    /// - Throws: `state-unwritable`; where there are no descriptors left.
    init(
        _ runs: [Int32: [Range<UInt64>]], _ keeper: LateKeeper, _ uuid: String, _ options: Arrival.Options,
        _ logger: Logger
    ) throws(Problem) {
        self.runs = runs
        self.keeper = keeper
        self.uuid = uuid
        self.options = options
        self.logger = logger
        journal = Journal(of: .arrivals, in: options.stateDirectory)
        meeting = try LateMeeting(options, uuid)
        do throws(Errno) { pair = try Pair() } catch { throw Self.problem(error, "socketpair") }
    }

    private static func problem(_ error: Errno, _ attempted: String, of pid: Int32? = nil) -> Problem {
        Problem(
            .lateUnavailable, "pages cannot follow when the tree runs here", object: .init(pid: pid),
            cause: .init(error, attempted: attempted), remedy: lateRemedy)
    }

    static let lateRemedy =
        "Migrate without --postcopy, or see that `apus receive` runs as root on a kernel with userfaultfd(2), with"
        + " CAP_SYS_PTRACE in the first user namespace"

    // MARK: The restore

    var socket: Int32 { pair.theirs.raw }

    func watch(_ mappings: [Int32: [Range<UInt64>]]) throws(Problem) {
        var all: [Int32: UserFaults] = [:]
        // Of an attempt that was taken back there may be some that are worthless: the last of each counts.
        while true {
            do throws(Errno) {
                let message = try Sockets.receive(pair.own.raw, atMost: 4)
                guard message.payload.count == 4, let number = message.descriptors.first else { throw .badAddress }
                all[message.payload.littleEndian(Int32.self, at: 0)] = UserFaults(
                    owning: OwnedDescriptor(owning: number))
            } catch .wouldBlock {
                break
            } catch {
                throw Self.problem(error, "recvmsg")
            }
        }
        for (pid, ranges) in mappings {
            guard let faults = all[pid] else { throw Self.problem(.badAddress, "recvmsg", of: pid) }
            do throws(Errno) {
                try faults.begin()
                for range in ranges { try faults.register(range) }
            } catch {
                throw Self.problem(error, "ioctl(UFFDIO_REGISTER)", of: pid)
            }
            try confirm(pid)
            keeper.hold(faults)
        }
        state.withLock { [all] in $0.faults = all }
    }

    /// A page that is there already would stay what it is.
    private func confirm(_ pid: Int32) throws(Problem) {
        let runs = runs[pid] ?? []
        // A walk of the tables takes less than many calls.
        var spans: [Range<UInt64>] = []
        for run in runs {
            if let last = spans.last, run.lowerBound - last.upperBound < 1 << 20 {
                spans[spans.count - 1] = last.lowerBound..<run.upperBound
            } else {
                spans.append(run)
            }
        }
        var (found, next): (UInt64?, Int) = (nil, 0)
        do throws(Errno) {
            let map = try PageMap(of: pid)
            let any: PageCategories = [.present, .swapped]
            for span in spans {
                try map.scan(span, .init(any: any, reported: [])) { (present) throws(Errno) in
                    while next < runs.count, runs[next].upperBound <= present.range.lowerBound { next += 1 }
                    guard next < runs.count, runs[next].lowerBound < present.range.upperBound else { return }
                    found = found ?? max(runs[next].lowerBound, present.range.lowerBound)
                }
            }
        } catch {
            throw Self.problem(error, "ioctl(PAGEMAP_SCAN)", of: pid)
        }
        guard let found else { return }
        throw Problem(
            .lateUnavailable, "a page that is to follow when the tree runs is there already, and none that has come",
            object: .init(pid: pid, address: found), remedy: "Migrate again, or without --postcopy")
    }

    // MARK: The tree runs

    /// Begins to bring pages.
    ///
    /// - Parameters:
    ///   - wire: the connection to the source, which from now on belongs to the thread that serves.
    ///   - entry: of the record of the migration, which says that pages have yet to come.
    ///   - root: the first process of the tree.
    func serve(over wire: Wire, _ entry: Journal.Entry, root: Int32) {
        let faults = state.withLock { state in
            state.isServed = true
            return state.faults
        }
        let thread = HelperThread { [self] in
            let memories = runs.compactMap { pid, runs in
                faults[pid].map { (faults: $0, owner: PageSpace.process(pid), runs: runs) }
            }
            var server = LateServer(memories, wire, keeper, meeting) { [logger] in logger.warning("\($0)") }
            var (ending, outcome, last) = server.run()
            if ending == .complete, server.hasEndedEarly, let reason = Self.violentEnd(of: root) {
                // The original is all that there is.
                logger.warning("the tree has ended before all of its memory had come: \(reason)")
                ending = .givenUp
            }
            state.withLock { $0.ending = ending }
            switch ending {
            case .complete: conclude(outcome, last, entry)
            case .givenUp: keeper.endTree()
            }
            isOver.signal()
        }
        if thread == nil { keeper.endTree() }
    }

    /// How the first process of a tree has ended, where that was no end of its own.
    ///
    /// - Returns: nil where it runs, or has ended by exit(3).
    private static func violentEnd(of root: Int32) -> String? {
        for _ in 0..<100 {
            // Whoever has made it waits for it only later: so long it is a zombie.
            guard let stat = try? ProcessDirectory(root).stat() else { return "process \(root) is gone" }
            if stat.state.hasEnded {
                guard case .killed(let signal, dumpedCore: _) = WaitStatus(word: stat.exitCode) else { return nil }
                return "process \(root) was killed by signal \(signal)"
            }
            // Its memory goes first. Where it has one, another process of the tree has ended.
            if stat.virtualSize > 0 { return nil }
            usleep(10_000)
        }
        return nil
    }

    private func conclude(_ outcome: LateServer.Outcome, _ wire: Wire?, _ entry: Journal.Entry) {
        logger.info("All pages are there; \(outcome.faults) were waited for")
        // From here on it counts as arrived, whatever the keeper sees.
        entry.set(.released)
        keeper.dismiss()
        try? wire?.send(.complete, outcome.json)
    }

    /// Waits until all pages are there, or the tree has been given up.
    ///
    /// - Returns: whether it runs.
    func wait() -> Bool {
        guard state.withLock({ $0.isServed }) else { return true }
        isOver.wait()
        return state.withLock { $0.ending == .complete }
    }
}

extension Problem.Code {
    /// Pages cannot follow when the tree runs.
    static let lateUnavailable: Self = "post-copy-unavailable"
}
