internal import ArgumentParser
internal import Bundles
internal import Compatibility
internal import Diagnostics
internal import Linux
internal import Logging
internal import Restore
internal import SystemPackage

/// `apus restore`.
struct Restore: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Bring a process tree back from image files.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var engine: EngineOptions
    @OptionGroup var obstacles: ObstacleOptions
    @OptionGroup var files: FileOptions
    @OptionGroup var processor: ProcessorOptions
    @OptionGroup var replacements: RestoreFileOptions
    @OptionGroup var state: StateOptions

    @Flag(name: [.customShort("d"), .long], help: "Leave once the tree runs, instead of waiting for its root.")
    var restoreDetached = false

    @Flag(name: [.customShort("S"), .long], help: "Make the root a child of the caller.")
    var restoreSibling = false

    @Flag(name: [.customShort("s"), .long], help: "Leave the restored processes stopped.")
    var leaveStopped = false

    @Flag(help: "Become the command after -- once the tree runs.")
    var execCmd = false

    @Option(help: .init("Write a zero byte to this descriptor and close it once ready.", valueName: "fd"))
    var statusFd: Int32?

    @Option(
        help: .init(
            "Write the pid of the restored root into this file, relative to the work directory.", valueName: "file"),
        completion: .file())
    var pidfile: String?

    @Flag(help: "Refuse where the number of a terminal (/dev/pts/N) is taken, in place of giving it another.")
    var exactTerminals = false

    @Flag(help: "Print the plan and make nothing.")
    var dryRun = false

    @OptionGroup var bundle: BundleOptions
    @OptionGroup var bundleReading: BundleReadingOptions

    @Argument(help: "The bundle, or the image directory; with --exec-cmd, the command.")
    var command: [String] = []
}

extension Restore: Action {
    static func perform(in session: Session) throws -> Int32 {
        var options = try options(session)
        let scratch = try BundleInput(session)?.unpack(into: &options)
        defer { scratch?.remove() }
        return try Restoration.run(options, logger: session.logger)
    }

    /// The options as the engine takes them.
    private static func options(_ session: Session) throws(Problems) -> RestoreOptions {
        var reader = OptionReader(session.invocation)
        var directory = reader.path("images-dir") ?? "."
        if !reader.flag("exec-cmd"), let operand = session.invocation.operands.first {
            directory = FilePath(bytes: operand)
        }
        var options = reader.examinedOptions(session, at: directory)
        options.workDirectory = reader.path("work-dir")
        options.dryRun = reader.flag("dry-run")
        options.exactTerminals = reader.flag("exact-terminals")
        options.detached = reader.flag("restore-detached")
        options.leaveStopped = reader.flag("leave-stopped")
        options.sibling = reader.flag("restore-sibling")
        if options.sibling && !options.detached {
            reader.report([
                Problem(
                    .missingOption, "--restore-sibling needs --restore-detached",
                    remedy: "Give --restore-detached too: a sibling cannot be waited for")
            ])
        }
        rejectOutsideNamespace(&reader, options)
        options.pidFile = reader.path("pidfile")
        if reader.flag("exec-cmd") {
            options.execCommand = session.invocation.operands
            if session.invocation.operands.isEmpty {
                reader.report([
                    Problem(
                        .missingValue, "--exec-cmd is given without a command",
                        remedy: "Write the command after --, as in: apus restore --exec-cmd -- program argument")
                ])
            }
        }
        options.actionScripts = reader.paths("action-script")
        options.locksNetwork = reader.locksNetwork()
        options.statusDescriptor = reader.descriptor("status-fd")
        let display = reader.flag("display-stats")
        options.progress = session.progress
        let asJSON = reader.flag("json")
        options.showPlan = { plan in
            let result: JSON = ["ok": true, "verb": "restore", "plan": .string(plan)]
            Console.write(asJSON ? result.text() + "\n" : plan)
        }
        options.report = { statistics in
            // From here on there is nothing to roll back, only a program to wait for: a signal ends Apus as usual.
            Cancellation.uninstall()
            session.succeed(statistics, display: display, message: "Restore finished successfully")
        }
        try reader.finish()
        return options
    }

    private static func rejectOutsideNamespace(_ reader: inout OptionReader, _ options: RestoreOptions) {
        guard options.pidPolicy == .newNamespace else { return }
        for option in ["shell-job", "restore-sibling", "exec-cmd"] where reader.flag(option) {
            reader.report([
                Problem(
                    .invalidValue, "--pid-policy new-namespace does not go together with --\(option)",
                    remedy: "A tree in a pid namespace of its own is the child of that namespace's init, and cannot"
                        + " see the session of the caller: leave one of the two options out")
            ])
        }
    }
}

extension OptionReader {
    /// The options that decide whether images can be restored here.
    mutating func examinedOptions(_ session: Session, at directory: FilePath) -> RestoreOptions {
        var options = RestoreOptions(imagesDirectory: directory)
        options.continueClocks = flag("continue-clocks")
        options.shellJob = flag("shell-job")
        if values("pid-policy").last == Array("new-namespace".utf8) { options.pidPolicy = .newNamespace }
        if let value = values("lsm-profile").last {
            let text = String(decoding: value, as: UTF8.self)
            if !options.runTasks(as: text) {
                report([
                    Problem(
                        .invalidValue, "--lsm-profile takes TYPE:NAME, and not \"\(text)\"",
                        remedy: "TYPE is apparmor or selinux: --lsm-profile apparmor:PROFILE")
                ])
            }
        }
        for key in external() {
            if let (device, path) = ExternalResource.device(key) {
                options.devices[device] = FilePath(path)
                continue
            }
            session.logger.info("--external \(key) has no effect on a restore: --inherit-fd says what takes its place")
        }
        options.inherited = inherited().map { .init(descriptor: $0.descriptor, key: $0.key) }
        options.fileLocks = flag("file-locks")
        // Images say themselves which files have been given names.
        _ = flag("link-remap")
        options.tcpEstablished = flag("tcp-established")
        options.externalUnixSockets = allowsExternalSockets
        options.tcpClose = flag("tcp-close")
        for value in values("tcp-rebind") where !options.rebind(String(decoding: value, as: UTF8.self)) {
            report([
                Problem(
                    .invalidValue,
                    "--tcp-rebind takes OLD=NEW, two addresses of one family, and not \"\(RawArgument.text(value).printable)\"",
                    remedy: "For example 10.0.0.1=10.0.0.2, 10.0.0.1:80=10.0.0.2:8080 or [fd00::1]:80=[fd00::2]:80")
            ])
        }
        options.fileRules = fileRules()
        options.overwriteFiles = flag("overwrite-files")
        options.stateDirectory = path("state-dir") ?? options.stateDirectory
        options.comparesProcessors = comparesProcessors
        return options
    }
}
