internal import Diagnostics
internal import Glibc
internal import Linux

/// Decides what becomes of trees about which the source is in doubt.
struct Verdicts {
    private let journal: Journal

    init(_ options: Arrival.Options) { journal = Journal(of: .arrivals, in: options.stateDirectory) }

    /// From here on it is decided: what does not run yet never will.
    func decide(_ uuid: String) throws(Problem) -> Journal.Record.State {
        let lock = try journal.lock(uuid)
        defer { withExtendedLifetime(lock) {} }
        guard let record = try journal.record(uuid) else {
            try journal.write(
                .init(uuid: uuid, state: .aborted, pid: 0, processes: [], peer: "", command: []))
            return .aborted
        }
        if record.isLate, record.state == .partial || record.state == .releasing { return try decide(late: record) }
        guard record.state == .releasing else { return record.state }
        // Whoever was about to release it has died: the processes that it has made end with it, or run. That they were let
        // run is written down within a microsecond: where that is missing and none of them is there, they were not.
        return try goesByItself(record) ? .aborted : .released
    }

    /// Whether the processes end by themselves, as they do where they were not let run.
    private func goesByItself(_ record: Journal.Record) throws(Problem) -> Bool {
        for _ in 0..<20 {
            let alive = record.candidates.contains { process in
                guard let stat = try? ProcessDirectory(process.pid).stat() else { return false }
                return stat.startTime == process.start && stat.state != .zombie
            }
            if !alive {
                // The source is to put them back on its own devices.
                ComingAddresses.withdraw(record.addresses)
                try journal.write(
                    .init(uuid: record.uuid, state: .aborted, pid: 0, processes: [], peer: "", command: []))
                return true
            }
            usleep(100_000)
        }
        return false
    }

    /// The same for a tree whose pages follow. Where nobody serves them any more it must not go on: it would with zeros.
    private func decide(late record: Journal.Record) throws(Problem) -> Journal.Record.State {
        if journal.isServed(record.uuid) { return .partial }
        if record.state == .releasing, try goesByItself(record) { return .aborted }
        while LateTree.isThere(record) {
            LateTree.end(record)
            usleep(20_000)
        }
        try journal.write(.init(uuid: record.uuid, state: .lost, pid: 0, processes: [], peer: "", command: []))
        journal.removeServing(record.uuid)
        return .lost
    }

    /// A tree whose pages have not all come is not to go on here: ends what is left of it.
    ///
    /// - Returns: `lost` once nothing of it is there; `released` where everything has come meanwhile.
    func giveUp(_ uuid: String, _ options: Arrival.Options) throws(Problem) -> Journal.Record.State {
        let limit = SystemClock.monotonic.now + 10_000_000_000
        while true {
            let state = try decide(uuid)
            if state != .partial || SystemClock.monotonic.now > limit { return state }
            LateMeeting.giveUp(uuid, options)
            usleep(100_000)
        }
    }
}
