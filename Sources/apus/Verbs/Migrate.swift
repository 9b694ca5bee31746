internal import ArgumentParser
internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Migration
internal import Restore
internal import SystemPackage

/// `apus migrate`: a tree moves to another host.
struct Migrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Move a running process tree to another host.",
        discussion: """
            The other host is reached by ssh, as the user's configuration has it, and needs apus there. The tree runs
            on here until it is built there; whatever fails before that changes nothing.
              apus migrate PID HOST
              apus migrate PID root@HOST --downtime-limit 50
            """)

    @Argument(help: "The root of the process tree.")
    var pid: Int32?

    @Argument(help: "The other host, as ssh takes it.")
    var host: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var obstacles: ObstacleOptions
    @OptionGroup var dumpObstacles: DumpObstacleOptions
    @OptionGroup var files: FileOptions
    @OptionGroup var processor: ProcessorOptions
    @OptionGroup var state: StateOptions

    @Option(
        help: .init(
            "The program that reaches the other host, with its arguments, in place of ssh.", valueName: "command"))
    var sshCommand: String?

    @Option(help: .init("The program to call on the other host.", valueName: "path"))
    var remoteApus = "apus"

    @Option(
        help: .init(
            "Take files along that differ there: auto what is mapped or read, all what is written to as well, none.",
            valueName: "which"),
        completion: .list(["auto", "all", "none"]))
    var ship = "auto"

    @Option(help: .init("For how long the tree may stand still, in milliseconds.", valueName: "ms"))
    var downtimeLimit = 300

    @Option(help: .init("How often memory is sent while the tree runs; 0 stops the tree first.", valueName: "count"))
    var rounds = 30

    @Option(
        help: .init("How much memory is sent each second while the tree runs, as 100M.", valueName: "size"))
    var maxBandwidth: String?

    @Option(
        help: .init("Write a page with charts about the migration, for a browser.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var report: String?

    @Flag(help: "Keep the original, stopped, when the tree runs on the other host.")
    var keepOriginal = false

    @Option(help: .init("How long the tree may stand still at the most; 0 for ever.", valueName: "seconds"))
    var timeout = 30

    @Flag(help: "Replace files that the tree writes to by those of this host (--ship all).")
    var overwriteFiles = false

    @Flag(help: "Let the monotonic clocks go on where they were, in a time namespace.")
    var continueClocks = false
}

extension Migrate: Action {
    static func perform(in session: Session) throws -> Int32 {
        let asJSON = session.invocation.has("json")
        var options = try options(session)
        let host = options.host
        var reader = OptionReader(session.invocation)
        let page = try ReportFile(reader.path("report"))
        // The tree is looked at for it while it is here.
        let processes = page == nil ? [] : (try? Checkpoint.Explain.run(options.dump))?.processes ?? []
        let report = MigrationReport(session, asJSON: asJSON)
        options.told = { report.tell($0) }
        let summary: MigrationSummary
        do {
            summary = try Migration.run(options, logger: session.logger)
        } catch {
            page?.remove()
            throw error
        }
        session.progress.finish()
        page?.write(report.page(summary, to: host, of: processes).text, session.logger)
        session.logger.info("The tree runs on \(host)")
        Console.write(asJSON ? summary.json(host).text(indented: false) + "\n" : summary.text(host))
        return 0
    }

    private static func options(_ session: Session) throws(Problems) -> MigrationOptions {
        var reader = OptionReader(session.invocation)
        let operands = session.invocation.operands
        let pid = operands.first.flatMap { Int32(RawArgument.text($0)) }.flatMap { $0 > 0 ? $0 : nil }
        if operands.count != 2 || pid == nil {
            reader.report([
                Problem(
                    .missingOption, "a migration needs the pid of a tree and the name of a host",
                    remedy: "Write: apus migrate PID [USER@]HOST")
            ])
        }
        let host = operands.count > 1 ? RawArgument.text(operands[1]) : ""
        if host.hasPrefix("-") {
            reader.report([
                Problem(
                    .invalidValue, "\(host.printable) is not the name of a host",
                    remedy: "Give the host as ssh takes it")
            ])
        }
        var dump = DumpOptions(pid: pid ?? 1, imagesDirectory: ".")
        dump.timeout =
            reader.number("timeout", in: 0...Int(Int32.max), expected: "a number of seconds, or 0 for no limit") ?? 30
        dump.fileRules = reader.fileRules()
        reader.readObstacleOptions(into: &dump)
        dump.verify = { try Restoration.verify($0, shellJob: false) }
        let state = reader.path("state-dir") ?? RestoreOptions.usualState
        let program = reader.values("remote-apus").last.map(RawArgument.text) ?? "apus"
        let remote = [program, "receive", "--stdio", "-v1"]
        let shell = reader.values("ssh-command").last.map {
            RawArgument.text($0).split(separator: " ").map(String.init)
        }
        var options = MigrationOptions(
            dump: dump, host: host,
            // Nothing is asked on the terminal that the frames travel by; who has gone is noticed.
            command: (shell ?? ["ssh", "-T", "-e", "none", "-o", "ServerAliveInterval=5"]) + [host] + remote,
            stateDirectory: state)
        let ship = reader.values("ship").last.map(RawArgument.text) ?? "auto"
        options.ships = ship != "none"
        if ship == "all" { options.dump.shipping = .all }
        options.downtimeLimit =
            reader.number(
                "downtime-limit", in: 1...UInt64(Int32.max), expected: "a number of milliseconds")
            ?? options.downtimeLimit
        options.mostRounds =
            reader.number("rounds", in: 0...10_000, expected: "a number of rounds, or 0") ?? options.mostRounds
        if let rate = reader.size("max-bandwidth") {
            options.bandwidth = rate
            if rate < 1 << 16 {
                reader.report([
                    Problem(
                        .invalidValue, "--max-bandwidth \(rate) is too little to ever come to an end",
                        remedy: "Give at least 64K, as in --max-bandwidth 100M")
                ])
            }
        }
        options.overwritesFiles = reader.flag("overwrite-files")
        options.keeps = reader.flag("keep-original")
        options.continuesClocks = reader.flag("continue-clocks")
        options.comparesProcessors = reader.values("cpu-cap").last != Array("none".utf8)
        options.fileRules = reader.values("file").map(RawArgument.text)
        try reader.finish()
        return options
    }
}
