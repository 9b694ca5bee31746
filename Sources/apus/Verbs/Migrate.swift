internal import ArgumentParser
internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Migration
internal import Restore
internal import SystemPackage
internal import Transport

/// `apus migrate`: a tree moves to another host.
struct Migrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Move a running process tree to another host.",
        discussion: """
            The other host is reached by ssh, as the user's configuration has it, and needs apus there. The tree runs
            on here until it is built there; whatever fails before that changes nothing.
              apus migrate PID HOST
              apus migrate PID root@HOST --downtime-limit 50
              apus migrate PID,PID,PID HOST
            Without ssh, to where `apus receive --listen` runs, once the hosts have been paired:
              apus migrate --pair HOST
              apus migrate PID HOST --to tls
            A program in a terminal, to go on working with it there:
              apus migrate --attach PID HOST
            """)

    @Argument(help: "The root of the process tree, or of several: PID,PID.")
    var pid: String?

    @Argument(
        help: "The other host, as ssh takes it; HOST or HOST:PORT with --to tls, the path of a socket with --to unix.")
    var host: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var obstacles: ObstacleOptions
    @OptionGroup var dumpObstacles: DumpObstacleOptions
    @OptionGroup var files: FileOptions
    @OptionGroup var processor: ProcessorOptions
    @OptionGroup var state: StateOptions
    @OptionGroup var pids: PidOptions

    @Option(
        help: .init(
            "How the other host is reached: by ssh, or where `apus receive --listen` listens there, by tls or unix.",
            valueName: "way"),
        completion: .list(["ssh", "tls", "unix"]))
    var to = "ssh"

    @Flag(
        help:
            "Pair this host with HOST, which trees are to go to; reads the token that `apus receive --init` has printed there."
    )
    var pair = false

    @Flag(help: "Join standard input and output with HOST, as ssh does; started by --to tls and --to unix.")
    var relay = false

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
        help: .init(
            "Let memory follow when the tree runs there already: auto where the pause would be too long otherwise, always, never.",
            valueName: "when"),
        completion: .list(["never", "auto", "always"]))
    var postcopy = "never"

    @Option(
        help: .init("How much is sent for memory each second while the tree runs, as 100M.", valueName: "size"))
    var maxBandwidth: String?

    @Option(
        help: .init(
            "How what is sent is compressed: auto as it is there soonest, none, lz4, zstd, or zstd:LEVEL from 1 to 19.",
            valueName: "how"),
        completion: .list(["auto", "none", "lz4", "zstd"]))
    var compress = "auto"

    @Option(
        help: .init(
            "An address of IP that moves along: ADDRESS[/LENGTH]@DEVICE[:DEVICE-THERE].", valueName: "address"))
    var moveAddress: [String] = []

    @Option(
        help: .init("Write a page with charts about the migration, for a browser.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var report: String?

    @Option(help: .init("Over how many connections memory is sent, from 1 to 16.", valueName: "count"))
    var channels = 1

    @Flag(help: "Slow the tree down where it writes faster than its memory can be sent.")
    var throttle = false

    @Flag(help: "A new terminal takes the place of one from outside there, which `apus attach` joins.")
    var detach = false

    @Flag(help: "The same, and join it from this terminal once the tree runs there.")
    var attach = false

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
        if session.invocation.has("pair") { return try pair(session) }
        if session.invocation.has("relay") { return try relay(session) }
        let asJSON = session.invocation.has("json")
        var options = try options(session)
        let host = options.host
        let pids = session.invocation.operands.first.flatMap { Self.pids(RawArgument.text($0)) } ?? []
        if pids.count > 1 { return try perform(pids, options, in: session) }
        var reader = OptionReader(session.invocation)
        let joining = JoiningThere(&reader, host: host)
        try reader.finish()
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
        if let terminal = summary.terminal { try joining.go(terminal, asJSON: asJSON) }
        return 0
    }

    private static func options(_ session: Session) throws(Problems) -> MigrationOptions {
        var reader = OptionReader(session.invocation)
        let operands = session.invocation.operands
        let pids = operands.first.flatMap { Self.pids(RawArgument.text($0)) } ?? []
        if pids.count > 1 { Self.refuseForSeveral(pids, &reader) }
        if operands.count != 2 || pids.isEmpty {
            reader.report([
                Problem(
                    .missingOption, "a migration needs the pid of a tree and the name of a host",
                    remedy: "Write: apus migrate PID [USER@]HOST, or PID,PID for several trees")
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
        if host.hasPrefix("/"), reader.values("to").last.map(RawArgument.text) != "unix" {
            reader.report([
                Problem(
                    .invalidValue, "\(host.printable) is a path, and not the name of a host",
                    remedy: "Where `apus receive --listen \(host.printable)` runs, give --to unix")
            ])
        }
        var dump = DumpOptions(pid: pids.first ?? 1, imagesDirectory: ".")
        dump.timeout =
            reader.number("timeout", in: 0...Int(Int32.max), expected: "a number of seconds, or 0 for no limit") ?? 30
        dump.fileRules = reader.fileRules()
        reader.readObstacleOptions(into: &dump)
        let shellJob = JoiningThere.move(reader) != .stays
        dump.verify = { try Restoration.verify($0, $1, shellJob: shellJob, whenPagesStand: $2) }
        let state = reader.path("state-dir") ?? RestoreOptions.usualState
        var options = MigrationOptions(
            dump: dump, host: host, command: command(to: host, state, &reader), stateDirectory: state)
        let ship = reader.values("ship").last.map(RawArgument.text) ?? "auto"
        options.ships = ship != "none"
        if ship == "all" { options.dump.shipping = .all }
        options.downtimeLimit =
            reader.number(
                "downtime-limit", in: 1...UInt64(Int32.max), expected: "a number of milliseconds")
            ?? options.downtimeLimit
        options.mostRounds =
            reader.number("rounds", in: 0...10_000, expected: "a number of rounds, or 0") ?? options.mostRounds
        options.postcopy =
            reader.values("postcopy").last.flatMap { MigrationOptions.Postcopy(rawValue: RawArgument.text($0)) }
            ?? .never
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
        if let how = reader.values("compress").last.map(RawArgument.text) {
            if let compression = SendCompression(how) {
                options.compression = compression
            } else {
                reader.report([
                    Problem.invalid(
                        "--compress", how, expected: "auto, none, lz4, zstd, or zstd:LEVEL from 1 to 19")
                ])
            }
        }
        options.addresses = Self.addresses(&reader)
        options.terminal = JoiningThere.move(reader)
        // It takes the place of the one outside there that --shell-job stands for.
        if options.terminal == .stays { options.dump.shellJob = false }
        readPidPolicy(&reader, &options)
        options.overwritesFiles = reader.flag("overwrite-files")
        options.channels =
            reader.number("channels", in: 1...16, expected: "a number of connections from 1 to 16") ?? 1
        options.throttles = reader.flag("throttle")
        options.keeps = reader.flag("keep-original")
        options.continuesClocks = reader.flag("continue-clocks")
        options.comparesProcessors = reader.comparesProcessors
        options.fileRules = reader.values("file").map(RawArgument.text)
        try reader.finish()
        return options
    }

    private static func readPidPolicy(_ reader: inout OptionReader, _ options: inout MigrationOptions) {
        guard reader.values("pid-policy").last == Array("new-namespace".utf8) else { return }
        options.hasOwnPids = true
        for (option, isGiven, why) in [
            ("postcopy", options.postcopy != .never, "what brings memory there later has to see the tree from outside"),
            (
                "attach or --detach", options.terminal != .stays,
                "who keeps a terminal there has to be the tree's parent"
            ),
        ] where isGiven {
            reader.report([
                Problem(
                    .invalidValue, "--pid-policy new-namespace does not go together with --\(option)",
                    remedy: "Leave one of the two out: \(why)")
            ])
        }
    }

    /// The program that reaches `apus receive --stdio` on the other host.
    private static func command(to host: String, _ state: FilePath, _ reader: inout OptionReader) -> [String] {
        if let way = way(reader) {
            for option in ["ssh-command", "remote-apus"] where reader.occurrences(option) > 0 {
                reader.report([
                    Problem(
                        .invalidValue, "--\(option) is for --to ssh, and nothing is started by ssh here",
                        remedy: "Leave it out, or leave --to \(way.rawValue) out")
                ])
            }
            return [
                "/proc/self/exe", "migrate", "--relay", "--to", way.rawValue, "--no-default-config", "--state-dir",
                state.string, "-v1", "--", host,
            ]
        }
        let program = reader.values("remote-apus").last.map(RawArgument.text) ?? "apus"
        let shell = reader.values("ssh-command").last.map {
            RawArgument.text($0).split(separator: " ").map(String.init)
        }
        // Nothing is asked on the terminal that the frames travel by; who has gone is noticed.
        return (shell ?? ["ssh", "-T", "-e", "none", "-o", "ServerAliveInterval=5"]) + [host]
            + [program, "receive", "--stdio", "-v1"]
    }

    /// The way without ssh; nil where ssh is to be used.
    private static func way(_ reader: OptionReader) -> Outbound.Way? {
        reader.values("to").last.flatMap { Outbound.Way(rawValue: RawArgument.text($0)) }
    }

    /// The only operand.
    private static func onlyHost(_ session: Session, _ reader: inout OptionReader) -> String {
        let operands = session.invocation.operands
        if operands.count != 1 {
            reader.report([
                Problem(.missingOption, "it is not said which host", remedy: "Write: apus migrate --pair HOST")
            ])
        }
        return operands.first.map(RawArgument.text) ?? ""
    }

    private static func pair(_ session: Session) throws -> Int32 {
        var reader = OptionReader(session.invocation)
        let host = onlyHost(session, &reader)
        let state = reader.path("state-dir") ?? RestoreOptions.usualState
        try reader.finish()
        // A token on the command line would be there for everybody to see.
        if Console.inputIsTerminal {
            Console.writeError("The token that `apus receive --init` has printed on \(host.printable): ")
        }
        let token = try PairingToken(readLine() ?? "")
        let name = try Outbound(.tls, to: host, state: state).pair(token)
        Console.write("Paired with \(name). Trees go there with: apus migrate PID \(host.printable) --to tls\n")
        return 0
    }

    /// - Returns: a status that tells nobody anything: what is the matter goes to who has started it, as a frame.
    private static func relay(_ session: Session) throws -> Int32 {
        var reader = OptionReader(session.invocation)
        let host = onlyHost(session, &reader)
        let state = reader.path("state-dir") ?? RestoreOptions.usualState
        let way = way(reader) ?? .tls
        try reader.finish()
        do throws(Problem) {
            try Outbound(way, to: host, state: state).relay(input: 0, output: 1)
            return 0
        } catch {
            _ = try? FileDescriptor.standardOutput.writeAll(RelayWords.failure(error))
            return 255
        }
    }

    private static func addresses(_ reader: inout OptionReader) -> [MovedAddress] {
        reader.values("move-address").map(RawArgument.text).compactMap { text in
            if let address = MovedAddress(text) { return address }
            reader.report([
                Problem(
                    .invalidValue, "--move-address \(text.printable) does not name an address that can move",
                    remedy: "Write ADDRESS@DEVICE, as in --move-address 192.0.2.7@eth0, and ADDRESS@DEVICE:DEVICE-THERE"
                        + " where it is to have another device; an address of loopback, of a group or of a link (fe80::)"
                        + " stays")
            ])
            return nil
        }
    }
}
