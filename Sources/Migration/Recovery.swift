internal import Checkpoint
public import Diagnostics
internal import Glibc
internal import Linux
public import SystemPackage

/// Settles what became of trees whose migration ended in doubt: `apus recover`.
public enum Recovery {
    /// What was found out about one.
    public struct Outcome: Sendable, Equatable {
        public enum State: String, Sendable {
            /// It runs on the other host: the original was ended.
            case arrived
            /// It never ran on the other host: the original runs on.
            case returned
            /// Nobody knows yet; the original stands still.
            case unsettled
            /// A migration is at it.
            case inUse = "in-use"
        }

        public let uuid: String
        public let pid: Int32
        public let host: String
        public let state: State
        /// Why it is not settled; nil where it is.
        public let problem: Problem?
    }

    /// Asks the other hosts, and ends or continues the originals.
    ///
    /// - Throws: `state-unwritable`.
    public static func settle(in state: FilePath) throws(Problem) -> [Outcome] {
        let journal = Journal(of: .departures, in: state)
        var outcomes: [Outcome] = []
        for record in journal.records() {
            func outcome(_ state: Outcome.State, _ problem: Problem? = nil) -> Outcome {
                Outcome(uuid: record.uuid, pid: record.pid, host: record.peer, state: state, problem: problem)
            }
            guard let lock = try journal.lock(record.uuid, waits: false) else {
                outcomes.append(outcome(.inUse))
                continue
            }
            defer { withExtendedLifetime(lock) {} }
            do throws(Problem) {
                switch try Settlement.ask(record.uuid, record.command, record.peer) {
                case .arrived:
                    originals(of: record, signal: SIGKILL)
                    outcomes.append(outcome(.arrived))
                case .refused:
                    originals(of: record, signal: SIGCONT)
                    outcomes.append(outcome(.returned))
                case .unknown(let problem):
                    outcomes.append(outcome(.unsettled, problem))
                    continue
                }
                journal.remove(record.uuid)
            } catch {
                outcomes.append(outcome(.unsettled, error))
            }
        }
        return outcomes
    }

    /// Sends a signal to the processes of the original, and to no other that has one of their pids now.
    private static func originals(of record: Journal.Record, signal: Int32) {
        for process in record.processes {
            guard let descriptor = try? Processes.open(process.pid),
                (try? ProcessDirectory(process.pid).stat())?.startTime == process.start
            else { continue }
            try? Processes.kill(pidfd: descriptor.raw, signal: signal)
        }
    }
}
