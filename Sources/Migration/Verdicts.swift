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
        guard let record = journal.record(uuid) else {
            try journal.write(
                .init(uuid: uuid, state: .aborted, pid: 0, processes: [], peer: "", command: []))
            return .aborted
        }
        guard record.state == .releasing else { return record.state }
        // Whoever was about to release it has died: the processes that it has made end with it, or run. That they were let
        // run is written down within a microsecond: where that is missing and none of them is there, they were not.
        for _ in 0..<20 {
            let alive = record.processes.contains { process in
                guard let stat = try? ProcessDirectory(process.pid).stat() else { return false }
                return stat.startTime == process.start && stat.state != .zombie
            }
            if !alive {
                // The source is to put them back on its own devices.
                ComingAddresses.withdraw(record.addresses)
                try journal.write(
                    .init(uuid: uuid, state: .aborted, pid: 0, processes: [], peer: "", command: []))
                return .aborted
            }
            usleep(100_000)
        }
        return .released
    }
}
