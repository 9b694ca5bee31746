internal import ArgumentParser
internal import Bundles
internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Migration
internal import Restore
internal import SystemPackage

/// `apus dump`.
struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Write a process tree to image files.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineOptions
    @OptionGroup var obstacles: ObstacleOptions
    @OptionGroup var dumpObstacles: DumpObstacleOptions

    @Option(name: [.customShort("t"), .long], help: .init("The root of the process tree.", valueName: "pid"))
    var tree: Int32?

    @OptionGroup var files: FileOptions
    @OptionGroup var processor: ProcessorOptions

    @Option(
        help: .init(
            "Take files along: auto what is mapped or read, all what is written to as well, none.", valueName: "which"),
        completion: .list(["auto", "all", "none"]))
    var ship = "none"

    @Flag(name: [.customShort("R"), .long], help: "Let the processes run on.")
    var leaveRunning = false

    @Flag(name: [.customShort("s"), .long], help: "Leave the processes stopped.")
    var leaveStopped = false

    @OptionGroup var bundle: BundleOptions
    @OptionGroup var bundleMaking: BundleMakingOptions

    @Option(help: .init("How long the whole dump may take; 0 for ever.", valueName: "seconds"))
    var timeout = 10

    @Option(help: .init("Write a zero byte to this descriptor and close it once ready.", valueName: "fd"))
    var statusFd: Int32?
}

extension Dump: Action {
    static func perform(in session: Session) throws -> Int32 {
        var options = try options(session)
        try Doubt.check(options.pid, in: RestoreOptions.usualState)
        let scratch = try BundleOutput.prepare(&options)
        defer { scratch?.remove() }
        Cancellation.setDeadline(seconds: options.timeout)
        do { try Checkpoint.Dump.run(options, logger: session.logger) } catch {
            throw scratch == nil ? error : BundleOutput.ofScratch(error)
        }
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
        options.bundle = reader.bundleTarget()
        if options.bundle != nil {
            options.bundle?.keepsImages = reader.flag("images-dir")
            // To pack takes as long as it takes: the pipe may be a slow line.
            options.timeout = 0
        }
        options.finally = running ? .run : stopped ? .stop : .kill
        options.timeout =
            reader.number("timeout", in: 0...Int(Int32.max), expected: "a number of seconds, or 0 for no limit")
            ?? options.timeout
        options.actionScripts = reader.paths("action-script")
        if let which = reader.values("ship").last {
            options.shipping = .init(rawValue: String(decoding: which, as: UTF8.self)) ?? options.shipping
        }
        options.fileRules = reader.fileRules()
        options.statusDescriptor = reader.descriptor("status-fd")
        reader.readObstacleOptions(into: &options)
        let display = reader.flag("display-stats")
        let shellJob = options.shellJob
        options.verify = { try Restoration.verify($0, $1, shellJob: shellJob, whenPagesStand: $2) }
        options.progress = session.progress
        options.report = { session.succeed($0, display: display, message: "Dumping finished successfully") }
        try reader.finish()
        return options
    }
}
