internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Migration

/// Several trees: `apus migrate PID,PID HOST`.
extension Migrate {
    /// The pids that the first operand names; nil where it is something else.
    static func pids(_ text: String) -> [Int32]? {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let pids = parts.compactMap { Int32($0) }.filter { $0 > 0 }
        return pids.count == parts.count ? pids : nil
    }

    /// What is for one tree alone.
    static func refuseForSeveral(_ pids: [Int32], _ reader: inout OptionReader) {
        let remedies = [
            "attach": "Give --detach, and join the terminal of each with `apus attach`",
            "move-address": "Migrate the tree whose connections lead from it by itself",
            "report": "Migrate the trees one by one for a page about each, or read --json",
        ]
        for (option, remedy) in remedies.sorted(by: { $0.key < $1.key }) where reader.occurrences(option) > 0 {
            let names = pids.map(String.init).joined(separator: ", ")
            reader.report([
                Problem(
                    .invalidValue, "--\(option) is for one tree, and several are to move (\(names))", remedy: remedy)
            ])
        }
    }

    /// Moves them.
    ///
    /// - Returns: the exit status: not 0 where one of them has not arrived.
    /// - Throws: what stands in the way of any; none has left then.
    static func perform(_ pids: [Int32], _ options: MigrationOptions, in session: Session) throws -> Int32 {
        let asJSON = session.invocation.has("json")
        let host = options.host
        let all = pids.map { pid in
            var own = options
            own.dump.pid = pid
            let report = MigrationReport(session, asJSON: asJSON, pid: pid)
            own.told = { report.tell($0) }
            return own
        }
        let outcomes = try Convoy.run(all, logger: session.logger) { outcome in
            session.progress.finish()
            Console.write(asJSON ? outcome.json(host).text(indented: false) + "\n" : outcome.text(host))
        }
        let problems = outcomes.flatMap(\.problems)
        let isWhole = outcomes.allSatisfy { $0.place == .there }
        if asJSON {
            let trees = outcomes.map { one -> JSON in
                ["pid": .integer(Int64(one.pid)), "place": .string(one.place.rawValue)]
            }
            let result: JSON = [
                "ok": .bool(isWhole), "verb": "migrate", "host": .string(host), "trees": .array(trees),
                "problems": .array(problems.map(\.json)),
            ]
            Console.write(result.text(indented: false) + "\n")
            for problem in problems { session.logger.error("\(problem.description)") }
            return isWhole ? 0 : 1
        }
        let words = Self.words(outcomes, host)
        session.logger.info("\(words)")
        Console.write(words + "\n")
        if let first = problems.first { throw Problems(first, Array(problems.dropFirst())) }
        return isWhole ? 0 : 1
    }

    /// One line for all.
    private static func words(_ outcomes: [Convoy.Outcome], _ host: String) -> String {
        func names(_ place: Convoy.Outcome.Place) -> String {
            outcomes.filter { $0.place == place }.map { "\($0.pid)" }.joined(separator: ", ")
        }
        let there = outcomes.filter { $0.place == .there }.count
        if there == outcomes.count { return "All \(there) trees run on \(host)." }
        var parts = [there == 0 ? "None of \(outcomes.count) trees runs on \(host)" : "On \(host): \(names(.there))"]
        if !names(.here).isEmpty { parts.append("here: \(names(.here))") }
        if !names(.unsettled).isEmpty { parts.append("nobody knows (`apus recover`): \(names(.unsettled))") }
        return parts.joined(separator: "; ") + "."
    }
}

extension Convoy.Outcome {
    /// One line for people.
    fileprivate func text(_ host: String) -> String {
        switch place {
        case .there:
            guard let summary else { return "\(pid): runs on \(host)\n" }
            func milliseconds(_ time: UInt64) -> String { "\((time + 500_000) / 1_000_000) ms" }
            return "\(pid): runs on \(host); paused for \(milliseconds(summary.pause)), in all"
                + " \(milliseconds(summary.total)), sent \(Quantity.bytes(summary.sent)) for"
                + " \(Quantity.bytes(summary.memory)) of memory\n"
        case .here:
            return problems.isEmpty
                ? "\(pid): runs on here, as another did not arrive\n" : "\(pid): runs on here: \(problems[0].summary)\n"
        case .unsettled: return "\(pid): stands still here; it may run on \(host)\n"
        }
    }

    /// The summary of one that has arrived, and where any of them is.
    fileprivate func json(_ host: String) -> JSON {
        let own: JSON = [
            "event": "tree", "pid": .integer(Int64(pid)), "place": .string(place.rawValue), "host": .string(host),
            "summary": summary.map { $0.json(host) } ?? .null, "problems": .array(problems.map(\.json)),
        ]
        return own
    }
}
