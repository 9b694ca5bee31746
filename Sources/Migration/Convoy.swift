internal import Checkpoint
public import Diagnostics
internal import Linux
public import Logging

/// Several trees move to one host, one after another.
///
/// Each has a connection and a commit of its own, and is there when its turn is over. Before the first leaves the other host has
/// judged all of them.
public enum Convoy {
    /// What became of one of them.
    public struct Outcome: Sendable {
        public enum Place: String, Sendable {
            /// It runs on the other host.
            case there
            /// It runs on where it was.
            case here
            /// It stands still here, and nobody knows whether it runs there.
            case unsettled
        }

        public let pid: Int32
        public let place: Place
        /// Of one that is there.
        public let summary: MigrationSummary?
        /// Why it is not there; empty also for one whose turn did not come, because another had failed.
        public let problems: [Problem]

        init(_ pid: Int32, _ place: Place, _ summary: MigrationSummary? = nil, _ problems: [Problem] = []) {
            (self.pid, self.place, self.summary, self.problems) = (pid, place, summary, problems)
        }
    }

    /// Moves them.
    ///
    /// - Parameters:
    ///   - all: what is asked of each.
    ///   - told: what has become of one, when its turn is over.
    /// - Returns: what has become of each, in their order.
    /// - Throws: `Problems`: what stands in the way of any of them. None has left then.
    public static func run(
        _ all: [MigrationOptions], logger: Logger, told: (Outcome) -> Void = { _ in }
    ) throws -> [Outcome] {
        try Problems.throwIfAny(overlaps(all.map(\.dump.pid)))
        var journeys = try prepare(all, logger)
        var outcomes: [Outcome] = []
        for index in journeys.indices {
            let pid = all[index].dump.pid
            if outcomes.contains(where: { $0.place != .there }) {
                // What has failed for one may fail for all: that is for somebody to decide.
                journeys[index].giveUp(
                    Problem(.interrupted, "another tree of the same migration did not arrive", remedy: ""))
                outcomes.append(Outcome(pid, .here))
            } else {
                outcomes.append(depart(&journeys[index], pid, logger))
            }
            told(outcomes[index])
        }
        return outcomes
    }

    private static func depart(_ journey: inout OutwardJourney, _ pid: Int32, _ logger: Logger) -> Outcome {
        do {
            let summary = try journey.depart()
            logger.info("the tree of \(pid) runs there")
            return Outcome(pid, .there, summary)
        } catch {
            let problems = Problems.all(of: error)
            let isUnsettled = problems.contains { $0.code == .unsettled }
            return Outcome(pid, isUnsettled ? .unsettled : .here, nil, problems.map { named($0, pid) })
        }
    }

    /// Reaches the other host for each, and has it judge all of them. Those that wait show that they are alive.
    private static func prepare(_ all: [MigrationOptions], _ logger: Logger) throws -> [OutwardJourney] {
        var journeys: [OutwardJourney] = []
        var problems: [Problem] = []
        for options in all {
            do {
                var journey = try OutwardJourney(options, logger)
                try journey.prepare()
                journey.wait()
                journeys.append(journey)
            } catch {
                problems += Problems.all(of: error).map { named($0, options.dump.pid) }
            }
            // Who wants it to stop does not want the next one.
            if Cancellation.requested { break }
        }
        if let first = problems.first {
            let all = Problems(first, Array(problems.dropFirst()))
            for index in journeys.indices { journeys[index].giveUp(all) }
            throw all
        }
        return journeys
    }

    private static func named(_ problem: Problem, _ pid: Int32) -> Problem {
        var problem = problem
        problem.summary = "tree of process \(pid): \(problem.summary)"
        return problem
    }

    /// Trees that are parts of others are one tree.
    static func overlaps(
        _ pids: [Int32],
        parent: (Int32) -> Int32? = { (try? ProcessDirectory($0).stat())?.parent }
    ) -> [Problem] {
        var problems: [Problem] = []
        for (index, pid) in pids.enumerated() {
            if pids[..<index].contains(pid) {
                problems.append(
                    Problem(
                        .treesOverlap, "process \(pid) is named twice", object: .init(pid: pid),
                        remedy: "Name each tree once"))
                continue
            }
            var (next, steps) = (parent(pid), 0)
            while let one = next, one > 0, steps < 100_000 {
                if pids.contains(one), one != pid {
                    problems.append(
                        Problem(
                            .treesOverlap,
                            "process \(pid) belongs to the tree of process \(one), which is to move as well",
                            object: .init(pid: pid), remedy: "Leave \(pid) out: it moves with \(one)"))
                    break
                }
                (next, steps) = (parent(one), steps + 1)
            }
        }
        return problems
    }
}

extension Problem.Code {
    /// One of several trees is a part of another.
    static let treesOverlap: Self = "trees-overlap"
}
