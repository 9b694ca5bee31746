internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Restore
internal import SystemPackage

/// `apus restore`.
struct Restore: Action {
    static let configuration = CommandConfiguration(abstract: "Bring a process tree back from image files.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineOptions

    @Flag(name: [.customShort("d"), .long], help: "Leave once the tree runs, instead of waiting for its root.")
    var restoreDetached = false

    @Flag(name: [.customShort("S"), .long], help: "Make the root a child of the caller.")
    var restoreSibling = false

    @Flag(name: [.customShort("s"), .long], help: "Leave the restored processes stopped.")
    var leaveStopped = false

    @Flag(help: "Become the command after -- once the tree runs.")
    var execCmd = false

    @Option(help: "A descriptor of the caller that stands in for a resource, fd[N]:KEY; may be given several times.")
    var inheritFd: [String] = []

    @Flag(help: "Print the plan and make nothing.")
    var dryRun = false

    @Argument(help: "The command of --exec-cmd.")
    var command: [String] = []

    func perform(in session: Session) throws -> Int32 {
        try Restoration.run(try options(session), logger: session.logger)
    }

    /// The options as the engine takes them.
    func options(_ session: Session) throws(Problems) -> RestoreOptions {
        var problems: [Problem] = []
        var inherited: [RestoreOptions.Inherited] = []
        for text in inheritFd {
            switch InheritedDescriptor.parse(RawArgument.bytes(text)) {
            case .success(let found): inherited.append(.init(descriptor: found.descriptor, key: found.key))
            case .failure(let problem): problems.append(problem)
            }
        }
        if execCmd && command.isEmpty {
            problems.append(
                Problem(
                    .missingValue, "--exec-cmd is given without a command",
                    remedy: "Write the command after --, as in: apus restore --exec-cmd -- program argument"))
        }
        if restoreSibling && !restoreDetached {
            problems.append(
                Problem(
                    .missingOption, "--restore-sibling needs --restore-detached",
                    remedy: "Give --restore-detached too: a sibling cannot be waited for"))
        }
        problems += ExternalResource.problems(engine.external.map(RawArgument.bytes))
        try Problems.throwIfAny(problems)
        var options = RestoreOptions(imagesDirectory: common.imagesDir.path)
        options.workDirectory = common.workDir?.path
        options.dryRun = dryRun
        options.detached = restoreDetached
        options.leaveStopped = leaveStopped
        options.shellJob = engine.shellJob
        options.sibling = restoreSibling
        options.pidFile = engine.pidfile?.path
        options.execCommand = execCmd ? command.map(RawArgument.bytes) : nil
        options.actionScripts = engine.actionScript.map(\.path)
        options.external = engine.external
        options.inherited = inherited
        options.evasiveDevices = engine.evasiveDevices
        options.fileLocks = engine.fileLocks
        options.tcpEstablished = engine.tcpEstablished
        options.externalUnixSockets = engine.extUnixSk
        options.statusDescriptor = engine.statusFd
        options.displayStatistics = engine.displayStats
        options.progress = session.progress
        options.showPlan = { Console.write($0) }
        let display = engine.displayStats
        options.report = { session.succeed($0, display: display, message: "Restore finished successfully") }
        return options
    }
}
