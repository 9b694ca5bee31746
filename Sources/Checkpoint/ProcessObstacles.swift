internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What a process itself has against being carried, beside its memory and its descriptors.
enum ProcessObstacles {
    static func find(
        _ process: SurveyedProcess, _ circumstances: Circumstances, _ clocks: TreeClocks
    ) -> [Problem] {
        guard let places = process.places else { return [] }
        var found: [Problem] = []
        found += namespaces(of: process, clocks)
        found += files(places, process.object, circumstances)
        if let problem = ForeignProgram.obstacle(to: process) { found.append(problem) }
        if let problem = VdsoObstacle.find(process) { found.append(problem) }
        found += TimerObstacles.find(process, circumstances)
        if process.status.isDumpingCore == true {
            found.append(refusal(process, "it is writing a core dump", "It is about to end: there is nothing to carry"))
        }
        if let problem = lostLeader(process, Processes.hasThreadDescriptors) { found.append(problem) }
        if let problem = crowd(process) { found.append(problem) }
        if circumstances.terminals.hasGivenUp(process.stat) && !process.isZombie {
            found.append(
                refusal(
                    process, "it has given up the terminal of its session (TIOCNOTTY)",
                    "Have it begin a session of its own (setsid)"))
        }
        if process.stat.terminal != DeviceNumber(major: 0, minor: 0) && !circumstances.shellJob
            && !circumstances.terminals.controls(process.stat)
            && !TerminalFile.isLeftOutside(process.stat, circumstances)
        {
            found.append(
                Problem(
                    .leadsOutside, "it has a controlling terminal, whose other side is outside of the tree",
                    object: process.object,
                    remedy: "Dump and restore with --shell-job: the terminal of the restore then takes its place"))
        }
        return found
    }

    /// Apus takes its end of the channel from the table of descriptors of the process, which is reached by its first thread, or
    /// since Linux 6.9 by any.
    static func lostLeader(_ process: SurveyedProcess, _ hasThreadDescriptors: Bool) -> Problem? {
        guard process.hasLostLeader, !hasThreadDescriptors else { return nil }
        return refusal(
            process,
            "its first thread has ended while others live, and this kernel lets nobody come near such a process",
            "Dump it on Linux 6.9 or later, or have the program keep its first thread")
    }

    /// The channel of Apus takes two numbers below its hard limit; its soft one is raised for that.
    private static func crowd(_ process: SurveyedProcess) -> Problem? {
        let descriptors = Set(process.descriptors.map(\.number))
        guard let limits = try? ProcessDirectory(process.pid).limits(), limits.count > Int(Processes.numberOfFiles),
            case let hard = limits[Int(Processes.numberOfFiles)].hard, hard < UInt64(descriptors.count) + 2,
            (0..<Int32(clamping: hard)).count(where: { !descriptors.contains($0) }) < 2
        else { return nil }
        return Problem(
            .unsupported,
            "it has as many files open as its hard limit allows (\(hard)), and Apus needs two more for a moment",
            object: process.object,
            remedy: "Raise that limit: prlimit --nofile=\(hard + 2):\(hard + 2) --pid \(process.pid), as one who has"
                + " CAP_SYS_RESOURCE")
    }

    /// Another program that traces it, which ptrace(2) allows to one alone. Apus itself may hold a tree that it slows.
    static func tracer(of process: SurveyedProcess) -> Problem? {
        let tracer = process.status.tracer
        // It is a thread that traces.
        guard tracer != 0, (try? Files.status(of: FilePath("/proc/self/task/\(tracer)"))) == nil else { return nil }
        let name = (try? ProcessDirectory(tracer).name()).map { " (\(String(decoding: $0, as: UTF8.self)))" } ?? ""
        return Problem(
            .alreadyTraced, "process \(tracer)\(name) traces it already", object: process.object,
            remedy: "End the debugger or tracer \(tracer), then try again")
    }

    private static func refusal(_ process: SurveyedProcess, _ summary: String, _ remedy: String) -> Problem {
        Problem(.unsupported, summary, object: process.object, remedy: remedy)
    }

    /// They do not change while Apus runs, and every process of the tree is compared with them.
    private static let ownNamespaces = try? ProcessDirectory(path: "/proc/self").namespaces()

    /// Whatever is carried now shares all namespaces with Apus but that of time.
    private static func namespaces(of process: SurveyedProcess, _ clocks: TreeClocks) -> [Problem] {
        guard let own = ownNamespaces, let theirs = try? ProcessDirectory(process.eye).namespaces(Array(own.keys))
        else {
            return [
                Problem(
                    .objectUnreadable, "its namespaces cannot be read", object: process.object,
                    remedy: "Run Apus as root")
            ]
        }
        let different = own.filter { name, link in theirs[name].map { $0 != link } ?? false }.keys
            .filter { !clocks.permitted(theirs).contains($0) }.sorted()
        if different.isEmpty { return [] }
        return [
            refusal(
                process, "it is in other namespaces than Apus (\(different.joined(separator: ", ")))",
                "Carrying namespaces is not built yet; run Apus within them: nsenter -t \(process.pid) -a apus VERB, where its pid is"
                    + " \(process.status.namespacePids.last ?? process.pid); name directories there by whole paths"
            )
        ]
    }

    private static func files(
        _ places: SurveyedProcess.Places, _ object: Problem.Object, _ circumstances: Circumstances
    ) -> [Problem] {
        [
            (places.executable, "the executable"), (places.workingDirectory, "the working directory"),
            (places.root, "the root directory"),
        ].compactMap { file, what in
            var object = object
            object.path = file.path.string
            if file.ghost != nil, what.hasPrefix("the root") {
                return Problem(
                    .fileDeleted, "\(what) has been deleted", object: object,
                    remedy: "Nothing can be found below it any more: end the program")
            }
            guard
                var problem = file.obstacle(
                    object, isShared: false, ghostLimit: circumstances.ghostLimit, linking: circumstances.linkRemap)
            else { return nil }
            problem.summary = "\(what): \(problem.summary)"
            return problem
        }
    }
}
