internal import ArgumentParser
internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import SystemPackage

/// `apus dump`.
struct Dump: Action {
    static let configuration = CommandConfiguration(abstract: "Write a process tree to image files.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineOptions

    @Option(name: [.customShort("t"), .long], help: "The root of the process tree.")
    var tree: Int32?

    @Flag(name: [.customShort("R"), .long], help: "Let the processes run on.")
    var leaveRunning = false

    @Flag(name: [.customShort("s"), .long], help: "Leave the processes stopped.")
    var leaveStopped = false

    @Option(help: "How many seconds the whole dump may take; 0 for ever.")
    var timeout = 10

    func perform(in session: Session) throws -> Int32 {
        let options = try self.options(session)
        Cancellation.setDeadline(seconds: options.timeout)
        try Checkpoint.Dump.run(options, logger: session.logger)
        return 0
    }

    /// The options as the engine takes them.
    func options(_ session: Session) throws(Problems) -> DumpOptions {
        var problems: [Problem] = []
        if tree == nil {
            problems.append(
                Problem(.missingOption, "it is not said which process to dump", remedy: "Give its pid with --tree PID"))
        }
        if let tree, tree <= 0 { problems.append(.invalid("--tree", "\(tree)", expected: "a pid, a positive number")) }
        if timeout < 0 {
            problems.append(.invalid("--timeout", "\(timeout)", expected: "a number of seconds, or 0 for no limit"))
        }
        if leaveRunning && leaveStopped {
            problems.append(
                Problem(
                    .invalidValue, "--leave-running and --leave-stopped contradict each other",
                    remedy: "Give one of them"))
        }
        problems += ExternalResource.problems(engine.external.map(RawArgument.bytes))
        try Problems.throwIfAny(problems)
        var options = DumpOptions(pid: tree ?? 0, imagesDirectory: common.imagesDir.path)
        options.workDirectory = common.workDir?.path
        options.finally = leaveRunning ? .run : leaveStopped ? .stop : .kill
        options.shellJob = engine.shellJob
        options.timeout = timeout
        options.actionScripts = engine.actionScript.map(\.path)
        options.external = engine.external
        options.evasiveDevices = engine.evasiveDevices
        options.fileLocks = engine.fileLocks
        options.tcpEstablished = engine.tcpEstablished
        options.externalUnixSockets = engine.extUnixSk
        options.statusDescriptor = engine.statusFd
        options.pidFile = engine.pidfile?.path
        options.displayStatistics = engine.displayStats
        options.progress = session.progress
        let display = engine.displayStats
        options.report = { session.succeed($0, display: display, message: "Dumping finished successfully") }
        return options
    }
}
