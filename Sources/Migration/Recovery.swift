internal import Checkpoint
public import Diagnostics
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
        /// Why it is not settled, or what of its addresses could not be put back; nil where there is nothing of the kind.
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
                    Originals.end(record)
                    outcomes.append(outcome(.arrived))
                case .refused:
                    let left = LeavingAddresses.comeBack(record.addresses)
                    Originals.resume(record)
                    outcomes.append(outcome(.returned, left.first))
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
}
