internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Logging
internal import Supervision
internal import SystemPackage

/// `apus run`.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a program so that it can be carried, or goes on after a crash or a reboot.",
        discussion: """
            Without a store the program is started in a session of its own, to be dumped by whoever wants to.
            With one, the same command line starts the program and, when it is given again, lets it go on from its
            newest checkpoint. SIGTERM makes a checkpoint and ends with status 75: run me again.
              apus run --cpu-level x86-64-v2 -- ./job argument
              apus run --store DIR --every 10m -- ./job argument
            """)

    @OptionGroup var common: CommonOptions

    @Option(
        help: .init("Where the checkpoints and the output of the program are kept.", valueName: "dir"),
        completion: .directory)
    var store: String?

    @Option(
        help: .init("Make a checkpoint so often: 30s, 10m, 2h. The program runs on meanwhile.", valueName: "time"))
    var every: String?

    @Option(help: .init("How many checkpoints are kept.", valueName: "number"))
    var keep = 3

    @Flag(help: "Forget what is in the store and begin anew.")
    var fresh = false

    @Option(
        help: .init("Keep the C library from using what processors of this level lack.", valueName: "level"),
        completion: .list(ProcessorLevel.allCases.map(\.rawValue)))
    var cpuLevel: String?

    @Flag(help: "Give the program a pid namespace of its own; with a store it always has one.")
    var pidNamespace = false

    @Option(
        help: .init("Write the pid of the program into this file; without a store.", valueName: "file"),
        completion: .file())
    var pidfile: String?

    @Flag(name: [.customShort("l"), .long], help: "Carry file locks.")
    var fileLocks = false

    @Flag(help: "Carry established TCP connections.")
    var tcpEstablished = false

    @Flag(help: "Restore TCP connections closed.")
    var tcpClose = false

    @Argument(help: "The program and its arguments, behind --.")
    var command: [String] = []
}

extension Run: Action {
    static func perform(in session: Session) throws -> Int32 {
        try Supervisor.run(try options(session), logger: session.logger)
    }

    private static func options(_ session: Session) throws(Problems) -> RunOptions {
        var reader = OptionReader(session.invocation)
        let command = session.invocation.operands.map { String(decoding: $0, as: UTF8.self) }
        if command.isEmpty {
            reader.report([
                Problem(
                    .missingValue, "it is not said which program to run",
                    remedy: "Write it behind --, as in: apus run -- ./job argument")
            ])
        }
        let store = reader.path("store")
        let ofStores = ["every", "keep", "fresh", "file-locks", "tcp-established", "tcp-close"]
        if store == nil, let option = ofStores.first(where: reader.flag) {
            reader.report([
                Problem(
                    .missingOption, "--\(option) is for checkpoints, and it is not said where they are kept",
                    remedy: "Name a directory with --store DIR, one for each program")
            ])
        }
        var options = RunOptions(command: command, store: store.map(Files.absolute))
        options.ownNamespace = reader.flag("pid-namespace")
        // The program may change into another directory.
        options.pidFile = reader.path("pidfile").map(Files.absolute)
        if store != nil && options.pidFile != nil {
            reader.report([
                Problem(
                    .invalidValue, "--pidfile and --store do not go together",
                    remedy: "Leave --pidfile out: a program with a store is dumped by apus run itself, at SIGUSR1")
            ])
        }
        if let text = reader.values("every").last.map(RawArgument.text) {
            options.interval = RunOptions.interval(text)
            if options.interval == nil {
                reader.report([Problem.invalid("--every", text, expected: "a time such as 30s, 10m or 2h")])
            }
        }
        options.keep = reader.number("keep", in: 1...1_000_000, expected: "a number from 1 on") ?? options.keep
        options.fresh = reader.flag("fresh")
        if let level = reader.values("cpu-level").last.map(RawArgument.text).flatMap(ProcessorLevel.init(rawValue:)) {
            // SAFETY: a C string that is copied at once.
            let before = unsafe getenv("GLIBC_TUNABLES").map { unsafe String(cString: $0) }
            options.variables = [level.variable(before: before)]
        }
        options.passed = ["file-locks", "tcp-established", "tcp-close"].filter(reader.flag).map { "--" + $0 }
        try reader.finish()
        return options
    }
}
