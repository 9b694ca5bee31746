internal import ArgumentParser
internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Restore
internal import SystemPackage

/// `apus dump`.
struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Write a process tree to image files.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineOptions

    @Option(name: [.customShort("t"), .long], help: .init("The root of the process tree.", valueName: "pid"))
    var tree: Int32?

    @Flag(name: [.customShort("R"), .long], help: "Let the processes run on.")
    var leaveRunning = false

    @Flag(name: [.customShort("s"), .long], help: "Leave the processes stopped.")
    var leaveStopped = false

    @Flag(help: "Use any path to a device file whose own path cannot be used.")
    var evasiveDevices = false

    @Option(help: .init("The most to keep of a file that has lost its name.", valueName: "size"))
    var ghostLimit = "1G"

    @Option(help: .init("How long the whole dump may take; 0 for ever.", valueName: "seconds"))
    var timeout = 10

    @Option(help: .init("Write a zero byte to this descriptor and close it once ready.", valueName: "fd"))
    var statusFd: Int32?
}

extension Dump: Action {
    static func perform(in session: Session) throws -> Int32 {
        let options = try options(session)
        Cancellation.setDeadline(seconds: options.timeout)
        try Checkpoint.Dump.run(options, logger: session.logger)
        return 0
    }

    /// The options as the engine takes them.
    private static func options(_ session: Session) throws(Problems) -> DumpOptions {
        var reader = OptionReader(session.invocation)
        let pid = reader.number("tree", in: 1...Int32.max, expected: "a pid, a positive number")
        if pid == nil && reader.problems.isEmpty {
            reader.report([
                Problem(.missingOption, "it is not said which process to dump", remedy: "Give its pid with --tree PID")
            ])
        }
        let running = reader.flag("leave-running")
        let stopped = reader.flag("leave-stopped")
        if running && stopped {
            reader.report([
                Problem(
                    .invalidValue, "--leave-running and --leave-stopped contradict each other",
                    remedy: "Give one of them")
            ])
        }
        var options = DumpOptions(pid: pid ?? 0, imagesDirectory: reader.path("images-dir") ?? ".")
        options.workDirectory = reader.path("work-dir")
        options.finally = running ? .run : stopped ? .stop : .kill
        options.shellJob = reader.flag("shell-job")
        options.timeout =
            reader.number("timeout", in: 0...Int(Int32.max), expected: "a number of seconds, or 0 for no limit")
            ?? options.timeout
        options.actionScripts = reader.paths("action-script")
        options.external = reader.external()
        options.statusDescriptor = reader.descriptor("status-fd")
        options.evasiveDevices = reader.flag("evasive-devices")
        options.ghostLimit = reader.size("ghost-limit") ?? options.ghostLimit
        options.fileLocks = reader.flag("file-locks")
        options.tcpEstablished = reader.flag("tcp-established")
        options.tcpClose = reader.flag("tcp-close")
        options.skipInFlight = reader.flag("skip-in-flight")
        options.locksNetwork = reader.locksNetwork()
        options.externalUnixSockets = reader.flag("ext-unix-sk")
        let display = reader.flag("display-stats")
        let shellJob = options.shellJob
        // What only the caller of the restore will provide cannot be verified here.
        if options.external.isEmpty { options.verify = { try Restoration.verify($0, shellJob: shellJob) } }
        options.progress = session.progress
        options.report = { session.succeed($0, display: display, message: "Dumping finished successfully") }
        try reader.finish()
        return options
    }
}
