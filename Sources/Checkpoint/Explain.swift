public import Diagnostics
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage

/// Looks at a tree as a dump would before it freezes anything, and tells all of it.
public enum Explain {
    /// - Throws: `no-such-process` and other problems that leave nothing to look at.
    public static func run(_ options: DumpOptions) throws(Problem) -> Explanation {
        Processes.raiseLimitOfFiles()
        let locks = Errand { LockObstacles.held() }
        var options = options
        // A dump waits for the tree to accept them, and carries them in the end.
        options.carriesWaiting = true
        let running = try Survey.running(from: options.pid, options)
        let (survey, obstacles) = (running.first, running.obstacles)
        let settlement = try Settlement(of: obstacles, survey, options)
        let held = locks.result
        return Explanation(
            processes: survey.processes.map(HeldByProcess.init), obstacles: settlement.obstacles,
            doubts: Doubts.find(survey.processes),
            losses: survey.processes.flatMap { process in
                Losses.find(process, locks: held, skipping: options.skipInFlight).map {
                    Explanation.Loss(object: process.object, text: $0)
                }
            } + OwnTerminals.find(survey).map { Explanation.Loss(object: $0.object, text: $0.text) },
            remedy: settlement.remedy,
            addresses: options.tcpClose ? [] : survey.finalCircumstances?.sockets.connectionAddresses ?? [],
            uselessKeys: survey.uselessKeys)
    }
}

/// Which options take obstacles out of the way: each is tried.
private struct Settlement {
    private(set) var obstacles: [Explanation.Obstacle] = []
    private(set) var remedy: [String] = []

    /// An option, and what it changes.
    private struct Concession: Sendable {
        let text: String
        /// The option alone, as remedies name it.
        let option: String
        let apply: @Sendable (inout DumpOptions) -> Void

        init(_ option: String, value: String? = nil, apply: @escaping @Sendable (inout DumpOptions) -> Void) {
            self.option = option
            text = value.map { "\(option) \($0)" } ?? option
            self.apply = apply
        }
    }

    private static let flags: [Concession] = [
        Concession("--shell-job") { $0.shellJob = true },
        Concession("--file-locks") { $0.fileLocks = true },
        Concession("--tcp-established") { $0.tcpEstablished = true },
        Concession("--skip-in-flight") { $0.skipInFlight = true },
        Concession("--ext-unix-sk") { $0.externalUnixSockets = true },
        Concession("--evasive-devices") { $0.evasiveDevices = true },
        Concession("--link-remap") { $0.linkRemap = true },
    ]

    init(of found: [Problem], _ survey: Survey, _ options: DumpOptions) throws(Problem) {
        var left = found
        var settled: [(problem: Problem, by: Concession)] = []
        // What takes a hand at the restore as well comes last.
        let all = Self.flags + Self.limits(found, survey, options) + Self.externals(found, survey, options)
        // Only what a remedy speaks of can help; that it does is then found out.
        for concession in all where left.contains(where: { $0.remedy.contains(concession.option) }) {
            var other = options
            concession.apply(&other)
            let remaining =
                concession.option == "--ghost-limit"
                ? try Survey(runningFrom: options.pid, other).obstacles : survey.obstacles(with: other)
            settled += left.filter { !remaining.contains($0) }.map { ($0, concession) }
            left.removeAll { !remaining.contains($0) }
        }
        obstacles = found.map { problem in
            .init(problem: problem, settledBy: settled.first { $0.problem == problem }?.by.text)
        }
        guard left.isEmpty, !found.isEmpty else { return }
        // One obstacle can hide another: they are tried together, too.
        var together = options
        let useful = all.filter { one in settled.contains { $0.by.text == one.text } }
        for concession in useful { concession.apply(&together) }
        if try Survey(runningFrom: options.pid, together).obstacles.isEmpty { remedy = useful.map(\.text) }
    }

    /// What the caller of the restore could provide.
    private static func externals(
        _ found: [Problem], _ survey: Survey, _ options: DumpOptions
    ) -> [Concession] {
        var keys: [String] = []
        for process in survey.processes {
            for seen in process.descriptors where found.contains(where: { $0.object == seen.object }) {
                guard let key = DescriptionKinds.kind(of: seen)?.externalKey(of: seen), !keys.contains(key) else {
                    continue
                }
                keys.append(key)
            }
        }
        return keys.map { key in Concession("--external", value: "'\(key)'") { $0.external.append(key) } }
    }

    /// The largest limit that the files without a name need.
    private static func limits(_ found: [Problem], _ survey: Survey, _ options: DumpOptions) -> [Concession] {
        guard found.contains(where: { $0.remedy.contains("--ghost-limit") }) else { return [] }
        let open = survey.processes.flatMap(\.descriptors).map(\.status)
        let mapped = survey.processes.flatMap { process in
            // Those that stand in the way are not among the files of the process.
            process.areas.filter { $0.area.inode != 0 && process.files[$0.area.range.lowerBound] == nil }
                .compactMap { try? Files.status(of: SurveyedProcess.place(of: $0.area, in: process.eye)) }
        }
        let programs = survey.processes.compactMap { $0.places?.executable.status }
        let largest =
            (open + mapped + programs).filter { $0.linkCount == 0 && $0.kind == .regular }
            .map { GhostFile.storedSize(of: $0) }.max() ?? 0
        guard largest > options.ghostLimit else { return [] }
        let mebibytes = (largest + 0xfffff) >> 20
        return [Concession("--ghost-limit", value: "\(mebibytes)M") { $0.ghostLimit = mebibytes << 20 }]
    }
}
