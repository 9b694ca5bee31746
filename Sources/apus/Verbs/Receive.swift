internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Migration
internal import Restore
internal import SystemPackage
internal import Transport

/// `apus receive`: the other side of `apus migrate`.
struct Receive: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive", abstract: "Take process trees from other hosts.",
        discussion: """
            With --stdio it is started by `apus migrate`, over ssh, and takes one tree over its standard input and output.
            With --listen it takes trees of paired hosts over TLS, until it is ended.
              ssh HOST apus receive --stdio
              apus receive --init
              apus receive --listen 0.0.0.0
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var state: StateOptions

    @Flag(help: "Speak over standard input and output.")
    var stdio = false

    @Option(
        help: .init(
            "Take trees of paired hosts over TLS at this address, ADDRESS or ADDRESS:PORT, or at a Unix socket, /PATH.",
            valueName: "address"))
    var listen: String?

    @Flag(
        name: .customLong("init"),
        help: "Make the key of this host, and print a token that pairs one other host with it.")
    var initialize = false

    @Flag(help: "Watch over memory that follows a tree; started by --stdio.")
    var keeper = false

    @Flag(help: "Serve the connection of TLS that is the standard input; started by --listen.")
    var connection = false

    @Flag(help: "Take a tree with the terminal that is descriptor 3; started by another apus receive.")
    var keptTerminal = false

    @Flag(help: "Take a tree as the init of a pid namespace; started by another apus receive.")
    var ownPids = false
}

extension Receive: Action {
    static func perform(in session: Session) throws -> Int32 {
        var reader = OptionReader(session.invocation)
        let ways = ["stdio", "listen", "init", "keeper", "connection"].filter { reader.occurrences($0) > 0 }
        if ways.count != 1 {
            reader.report([
                Problem(
                    .missingOption, "it is not said where the tree comes from",
                    remedy:
                        "Give one of --init, --listen ADDRESS, and --stdio, which `apus migrate` gives by itself")
            ])
        }
        let state = reader.path("state-dir") ?? RestoreOptions.usualState
        try reader.finish()
        switch ways.first {
        case "init": return try printToken(state, asJSON: session.invocation.has("json"))
        case "listen":
            let place = reader.values("listen").last.map(RawArgument.text) ?? ""
            return try listen(Listener.Place(place), state, session)
        case "keeper":
            var keeping = LateKeeping(Arrival.Options(stateDirectory: state), logger: session.logger)
            return try keeping.run()
        case "connection":
            return try Reception(
                receiver: own("--stdio", state, session), greeting: RelayWords.greeting, state: state,
                logger: session.logger
            ).serve()
        default:
            var options = Arrival.Options(stateDirectory: state)
            let again = ["/proc/self/exe"] + ProcessArguments.bytes.dropFirst().map(RawArgument.text)
            options.role =
                reader.flag("kept-terminal") ? .receiver : reader.flag("own-pids") ? .initial : .first
            options.receiver = again + ["--kept-terminal"]
            options.initial = again + ["--own-pids"]
            return try Arrival.serve(options, logger: session.logger)
        }
    }

    /// Apus as it runs now, for a connection or a tree.
    private static func own(_ way: String, _ state: FilePath, _ session: Session) -> [String] {
        [
            "/proc/self/exe", "receive", way, "--no-default-config", "--state-dir", state.string,
            "-v\(session.invocation.verbosity)",
        ]
    }

    private static func listen(_ place: Listener.Place, _ state: FilePath, _ session: Session) throws -> Int32 {
        var listener = Listener(
            place, connection: own("--connection", state, session), receiver: own("--stdio", state, session),
            state: state, logger: session.logger)
        listener.told = { Console.write("Listening at \($0)\n") }
        try listener.run()
        return 0
    }

    private static func printToken(_ state: FilePath, asJSON: Bool) throws -> Int32 {
        let (token, until) = try HostKeys(in: state).issueToken()
        if asJSON {
            let result: JSON = [
                "ok": true, "verb": "receive", "token": .string(token.text), "until": .integer(until),
            ]
            Console.write(result.text() + "\n")
            return 0
        }
        // The token alone is the output, for pipes.
        Console.write(token.text + "\n")
        Console.writeError(
            """
            This token pairs one host with this one, once, within an hour. Whoever has it can send programs here.
            If it does not run yet:                  apus receive --listen 0.0.0.0
            On the host that trees are to come from: apus migrate --pair NAME-OF-THIS-HOST
            which asks for the token.

            """)
        return 0
    }
}
