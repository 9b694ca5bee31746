internal import Checkpoint
public import Diagnostics
internal import Linux
public import Logging
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
            /// It does not run on the other host, and nothing is left of the original.
            case gone
            /// Nobody knows yet; the original stands still.
            case unsettled
            /// It runs on the other host, or ran there, without all of its memory; the original stands still.
            case incomplete
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

    /// Asks the other hosts, and ends or continues the originals. Memory that had yet to follow is sent.
    ///
    /// - Parameter back: the migration whose tree is to be continued here, where its memory has not all come there.
    /// - Throws: `state-unwritable`, `state-unreadable`; `invalid-value` where there is no such migration.
    public static func settle(in state: FilePath, goingBack back: String? = nil, logger: Logger) throws(Problem)
        -> [Outcome]
    {
        let journal = Journal(of: .departures, in: state)
        var outcomes: [Outcome] = []
        let records = try journal.records().filter { back == nil || $0.uuid == back }
        if let back, records.isEmpty {
            throw Problem(
                .noSuchMigration, "no migration from here is in doubt that is called \(back.printable)",
                remedy: "`apus recover` lists those that are")
        }
        for record in records {
            func outcome(_ state: Outcome.State, _ problem: Problem? = nil) -> Outcome {
                Outcome(uuid: record.uuid, pid: record.pid, host: record.peer, state: state, problem: problem)
            }
            guard let lock = try journal.lock(record.uuid, waits: false) else {
                outcomes.append(outcome(.inUse))
                continue
            }
            defer { withExtendedLifetime(lock) {} }
            let place = Originals.place(record)
            switch place {
            case .here, .nowhere: break
            case .elsewhere(let member):
                outcomes.append(outcome(.unsettled, elsewhere(record, member)))
                continue
            case .outOfSight:
                outcomes.append(outcome(.unsettled, outOfSight(record, state)))
                continue
            }
            /// The other host does not have it.
            func comesBack() -> Outcome {
                let left = LeavingAddresses.comeBack(record.addresses)
                Originals.resume(record)
                return outcome(place == .here ? .returned : .gone, left.first)
            }
            do throws(Problem) {
                let goesBack = back != nil
                let word = try Settlement.ask(
                    record.uuid, record.command, record.peer, goesBack ? .goBack : .question)
                switch word {
                case .released:
                    Originals.end(record)
                    outcomes.append(outcome(.arrived))
                case .lost where !goesBack:
                    outcomes.append(outcome(.incomplete, LateSending.lost(record.uuid, record.peer)))
                    continue
                case .aborted, .lost:
                    outcomes.append(comesBack())
                case .partial where goesBack:
                    outcomes.append(outcome(.incomplete, stillThere(record)))
                    continue
                case .partial:
                    let sending = LateSending(
                        record.uuid, record.command, record.peer, of: Originals.pids(record), logger)
                    switch sending.run(over: nil, [:], seconds: 5) {
                    case .complete:
                        Originals.end(record)
                        outcomes.append(outcome(.arrived))
                    case .open(let problem):
                        outcomes.append(outcome(.incomplete, problem))
                        continue
                    case .refused:
                        outcomes.append(comesBack())
                    }
                }
                journal.remove(record.uuid)
            } catch {
                outcomes.append(outcome(.unsettled, error))
            }
        }
        return outcomes
    }

    private static func elsewhere(_ record: Journal.Record, _ member: Int32) -> Problem {
        Problem(
            .unsettled, "the original is in another pid namespace, where it has pid \(record.pid)",
            remedy: "Settle it there: nsenter -t \(member) -p -m apus recover")
    }

    private static func outOfSight(_ record: Journal.Record, _ state: FilePath) -> Problem {
        let file = state.appending("departures/\(record.uuid).json")
        return Problem(
            .unsettled,
            "the original is in a pid namespace that cannot be seen from here, where it has pid \(record.pid)",
            remedy: "Settle it from there, or from the host: apus recover. Where its container is gone, remove \(file)")
    }

    private static func stillThere(_ record: Journal.Record) -> Problem {
        Problem(
            .incomplete, "what is left of the tree on \(record.peer) has not ended yet",
            remedy: "Look there for processes that wait for their memory, end them (kill -9), and try again")
    }
}

extension Problem.Code {
    /// There is no record of it.
    static let noSuchMigration: Self = "no-such-migration"
}
