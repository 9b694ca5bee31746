internal import Checkpoint
internal import Diagnostics
internal import Linux
internal import Logging
internal import Migration
internal import Synchronization

/// Says how a migration goes: on one line that changes, or as events for programs.
final class MigrationReport: Sendable {
    private let session: Session
    private let asJSON: Bool
    /// The tree that it is about, where there are several.
    private let pid: Int32?
    private let began = SystemClock.monotonic.now
    private let seen = Mutex(Seen())

    /// What a page about the migration tells.
    private struct Seen {
        var moments = MigrationPage.Moments()
        var node = ""
        var warnings: [String] = []
        /// When programs are told the next time how much has been sent.
        var nextSaying: UInt64 = 0
    }

    init(_ session: Session, asJSON: Bool, pid: Int32? = nil) {
        self.session = session
        self.asJSON = asJSON
        self.pid = pid
    }

    /// A page about the migration, when it is over.
    func page(_ summary: MigrationSummary, to host: String, of processes: [HeldByProcess]) -> MigrationPage {
        let seen = self.seen.withLock { $0 }
        return MigrationPage(
            host: host, node: seen.node, summary: summary, moments: seen.moments, warnings: seen.warnings,
            processes: processes)
    }

    private func note(_ event: MigrationEvent) {
        let now = SystemClock.monotonic.now - began
        seen.withLock { seen in
            switch event {
            case .reached(let node, let kernel):
                seen.node = "\(node), kernel \(kernel)"
                seen.moments.reached = now
            case .judged(_, let warnings):
                seen.warnings = warnings
                seen.moments.judged = now
            case .round: seen.moments.rounds.append(now)
            case .stopping: seen.moments.stopping = now
            case .carried, .slowed, .released, .follows, .arrived: break
            }
        }
    }

    func tell(_ event: MigrationEvent) {
        note(event)
        if asJSON {
            switch event {
            case .carried, .follows: if !isTimeToSay() { return }
            case .reached, .judged, .round, .slowed, .stopping, .released, .arrived: break
            }
            if case .object(var members) = Self.json(event) {
                if let pid { members.append(.init("pid", .integer(Int64(pid)))) }
                Console.write(JSON.object(members).text(indented: false) + "\n")
            }
            return
        }
        switch event {
        case .reached(let node, let kernel): session.logger.info("reached \(node), kernel \(kernel)")
        case .judged(_, let warnings):
            for warning in warnings { session.logger.warning("there: \(warning)") }
        case .round(let round, let pause, _):
            session.progress.update(
                "sending memory, round \(round.number), pause of \(Duration.nanoseconds(Int64(clamping: pause)).milliseconds) ms expected",
                done: round.size, of: nil, unit: .bytes)
        case .carried(let carried):
            let left = carried.left.map { ", \(Quantity.left($0)) left" } ?? ""
            session.progress.update(
                "sending memory, round \(carried.round)\(left)", done: carried.done, of: carried.size, unit: .bytes)
        case .slowed(let share):
            session.progress.update("slowing the tree by \(Int(share * 100)) %", done: 0, of: nil)
        case .stopping: session.progress.update("moving", done: 0, of: nil)
        case .released(let late):
            session.logger.info("the tree runs there, and \(late) bytes of its memory follow")
            session.progress.update("sending memory that follows", done: 0, of: late, unit: .bytes)
        case .follows(let done, let size):
            session.progress.update("sending memory that follows", done: done, of: size, unit: .bytes)
        case .arrived: session.progress.finish()
        }
    }

    /// Programs are told each half of a second: a line for each frame would be too much.
    private func isTimeToSay() -> Bool {
        let now = SystemClock.monotonic.now
        return seen.withLock { seen in
            guard now >= seen.nextSaying else { return false }
            seen.nextSaying = now + 500_000_000
            return true
        }
    }

    private static func json(_ event: MigrationEvent) -> JSON? {
        switch event {
        case .reached(let node, let kernel):
            ["event": "reached", "node": .string(node), "kernel": .string(kernel)]
        case .judged(let frozen, let warnings):
            [
                "event": "judged", "frozen_ns": .unsigned(frozen),
                "warnings": .array(warnings.map { .string($0) }),
            ]
        case .round(let round, let pause, let left):
            [
                "event": "round", "number": .integer(Int64(round.number)), "bytes": .unsigned(round.size),
                "time_ns": .unsigned(round.time), "predicted_pause_ns": .unsigned(pause),
                "eta_ns": .unsigned(left),
            ]
        case .carried(let carried):
            [
                "event": "sending", "round": .integer(Int64(carried.round)), "bytes": .unsigned(carried.done),
                "of_bytes": .unsigned(carried.size), "sent_bytes": .unsigned(carried.all),
                "eta_ns": carried.left.map { .unsigned($0) } ?? .null,
            ]
        case .slowed(let share): ["event": "slowed", "percent": .integer(Int64(share * 100))]
        case .stopping: ["event": "stopping"]
        case .released(let late): ["event": "released", "late_bytes": .unsigned(late)]
        case .follows(let done, let size):
            ["event": "following", "bytes": .unsigned(done), "of_bytes": .unsigned(size)]
        // The summary says it.
        case .arrived: nil
        }
    }
}

extension Duration {
    /// Whole ones.
    fileprivate var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

extension MigrationSummary {
    /// For programs.
    func json(_ host: String) -> JSON {
        [
            "ok": true, "verb": "migrate", "host": .string(host), "total_ns": .unsigned(total),
            "pause_ns": .unsigned(pause), "rehearsal_ns": .unsigned(rehearsal), "until_ready_ns": .unsigned(untilReady),
            "sent_bytes": .unsigned(sent), "last_bytes": .unsigned(lastSize),
            "memory_bytes": .unsigned(memory), "zero_bytes": .unsigned(zeros), "compression": compressionJSON,
            "channels": .integer(Int64(channels)), "slowed_ns": .unsigned(slowed),
            "slowed_percent": .integer(Int64(slowedShare * 100)),
            "late": late.map {
                [
                    "bytes": .unsigned($0.size), "time_ns": .unsigned($0.time), "faults": .unsigned($0.faults),
                    "median_wait_ns": .unsigned($0.medianWait),
                ]
            } ?? .null,
            "addresses": .array(addresses.map { .string($0) }),
            "terminal": terminal.map { .string($0) } ?? .null,
            "kept_original": keptOriginal.map { .integer(Int64($0)) } ?? .null, "own_pids": .bool(hasOwnPids),
            "namespace_init": namespaceInit.map { .integer(Int64($0)) } ?? .null,
            "rounds": .array(
                rounds.map {
                    [
                        "number": .integer(Int64($0.number)), "bytes": .unsigned($0.size),
                        "time_ns": .unsigned($0.time),
                    ]
                }),
        ]
    }

    /// For people.
    func text(_ host: String) -> String {
        func milliseconds(_ time: UInt64) -> String { "\((time + 500_000) / 1_000_000) ms" }
        let ahead = rounds.reduce(0) { $0 + $1.size }
        let followed =
            late.map { late in
                "  followed      \(Quantity.bytes(late.size)) within \(milliseconds(late.time)); "
                    + "\(late.faults) pages were waited for, \(late.medianWait / 1000) us in the middle\n"
            } ?? ""
        let moved = addresses.isEmpty ? "" : "  moved along   \(addresses.joined(separator: ", "))\n"
        return """
            The tree runs on \(host).
              paused for    \(milliseconds(pause)) (and \(milliseconds(rehearsal)) before that, to be looked at)
              in all        \(milliseconds(total))
              sent          \(Quantity.bytes(sent)) for \(Quantity.bytes(memory)) of memory\(channelWords): \(Quantity.bytes(ahead)) while it ran, in \(rounds.count) rounds, \(Quantity.bytes(lastSize)) while it stood still
              compressed    \(compressionWords)
            \(slowedWords)\(followed)\(moved)\(originalWords)\(namespaceWords)
            """
    }
}
