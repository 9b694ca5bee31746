internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
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

    @Flag(name: [.customShort("d"), .long], help: "Leave once the tree runs, instead of waiting for its root.")
    var restoreDetached = false

    @Flag(name: [.customShort("S"), .long], help: "Make the root a child of the caller.")
    var restoreSibling = false

    @Flag(name: [.customShort("s"), .long], help: "Leave the restored processes stopped.")
    var leaveStopped = false

    @Flag(help: "Become the command after -- once the tree runs.")
    var execCmd = false

    @Option(
        help: .init(
            "A descriptor of the caller that stands in for a resource, fd[N]:KEY; may be given several times.",
            valueName: "fd[N]:key"))
    var inheritFd: [String] = []

    @Option(help: .init("Write a zero byte to this descriptor and close it once ready.", valueName: "fd"))
    var statusFd: Int32?

    @Option(
        help: .init(
            "Write the pid of the restored root into this file, relative to the work directory.", valueName: "file"),
        completion: .file())
    var pidfile: String?

    @Option(
        help: .init(
            "The pids have to be free here (exact), or are made free by a pid namespace (new-namespace).",
            valueName: "policy"), completion: .list(["exact", "new-namespace"]))
    var pidPolicy: String?

    @Flag(help: "Let the monotonic clocks go on where they were, in a time namespace.")
    var continueClocks = false

    @Option(
        help: .init(
            "What the security module has the tasks run as, apparmor:NAME or selinux:LABEL, in place of what it was.",
            valueName: "type:name"))
    var lsmProfile: String?

    @Flag(help: "Print the plan and make nothing.")
    var dryRun = false

    @Argument(help: "The command of --exec-cmd.")
    var command: [String] = []
}

extension Restore: Action {
    static func perform(in session: Session) throws -> Int32 {
        try Restoration.run(try options(session), logger: session.logger)
    }

    /// The options as the engine takes them.
    private static func options(_ session: Session) throws(Problems) -> RestoreOptions {
        var reader = OptionReader(session.invocation)
        var options = RestoreOptions(imagesDirectory: reader.path("images-dir") ?? ".")
        options.workDirectory = reader.path("work-dir")
        options.dryRun = reader.flag("dry-run")
        options.continueClocks = reader.flag("continue-clocks")
        options.detached = reader.flag("restore-detached")
        options.leaveStopped = reader.flag("leave-stopped")
        options.shellJob = reader.flag("shell-job")
        options.sibling = reader.flag("restore-sibling")
        if options.sibling && !options.detached {
            reader.report([
                Problem(
                    .missingOption, "--restore-sibling needs --restore-detached",
                    remedy: "Give --restore-detached too: a sibling cannot be waited for")
            ])
        }
        readPidPolicy(&reader, &options)
        readSecurityProfile(&reader, &options)
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
        for key in reader.external() {
            session.logger.info("--external \(key) has no effect on a restore: --inherit-fd says what takes its place")
        }
        options.inherited = reader.inherited().map { .init(descriptor: $0.descriptor, key: $0.key) }
        options.fileLocks = reader.flag("file-locks")
        // Images say themselves which files have been given names.
        _ = reader.flag("link-remap")
        options.tcpEstablished = reader.flag("tcp-established")
        options.externalUnixSockets = reader.allowsExternalSockets
        options.tcpClose = reader.flag("tcp-close")
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

    private static func readSecurityProfile(_ reader: inout OptionReader, _ options: inout RestoreOptions) {
        guard let value = reader.values("lsm-profile").last else { return }
        let text = String(decoding: value, as: UTF8.self)
        if !options.runTasks(as: text) {
            reader.report([
                Problem(
                    .invalidValue, "--lsm-profile takes TYPE:NAME, and not \"\(text)\"",
                    remedy: "TYPE is apparmor or selinux: --lsm-profile apparmor:PROFILE")
            ])
        }
    }

    private static func readPidPolicy(_ reader: inout OptionReader, _ options: inout RestoreOptions) {
        guard reader.values("pid-policy").last == Array("new-namespace".utf8) else { return }
        options.pidPolicy = .newNamespace
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
