internal import ArgumentParser
internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Migration
internal import Restore
internal import SystemPackage

/// `apus explain`: what a tree holds, and what a dump of it would come to.
struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what a process tree holds and whether it could be dumped.",
        discussion: """
            Nothing is stopped or changed. It takes the options of the dump, and says which of them would help.
              apus explain PID
              apus explain PID --shell-job --file-locks
            """)

    @Argument(help: "The root of the process tree.")
    var pid: Int32?

    @OptionGroup var common: CommonOptions
    @OptionGroup var obstacles: ObstacleOptions
    @OptionGroup var dumpObstacles: DumpObstacleOptions

    @Option(name: [.customShort("t"), .long], help: .init("The same as the argument.", valueName: "pid"))
    var tree: Int32?
}

extension Explain: Action {
    static func perform(in session: Session) throws -> Int32 {
        let options = try options(session)
        try Doubt.check(options.pid, in: RestoreOptions.usualState)
        let explanation = try Checkpoint.Explain.run(options)
        if session.invocation.has("json") {
            Console.write(explanation.json.text() + "\n")
        } else {
            Console.write(explanation.text(Console.outputStyle))
        }
        let verdict = explanation.wouldBeDumped ? "would be dumped" : "would not be dumped"
        session.logger.info("process \(options.pid) \(verdict)")
        return explanation.wouldBeDumped ? 0 : 1
    }

    private static func options(_ session: Session) throws(Problems) -> DumpOptions {
        var reader = OptionReader(session.invocation)
        var pid = reader.number("tree", in: 1...Int32.max, expected: "a pid, a positive number")
        let operands = session.invocation.operands
        if let first = operands.first {
            let text = RawArgument.text(first)
            let number = Int32(text).flatMap { $0 > 0 ? $0 : nil }
            if number == nil || operands.count > 1 {
                reader.report([
                    Problem(
                        .unexpectedArgument,
                        "\((number == nil ? text : RawArgument.text(operands[1])).printable) is not the pid of a tree",
                        remedy: "Give one pid, a positive number")
                ])
            } else if let pid, pid != number {
                reader.report([
                    Problem(
                        .invalidValue, "--tree \(pid) and \(text) are two different trees",
                        remedy: "Give one of the two pids")
                ])
            }
            pid = number
        }
        if pid == nil && reader.problems.isEmpty {
            reader.report([
                Problem(
                    .missingOption, "it is not said which process to explain", remedy: "Give its pid: apus explain PID")
            ])
        }
        var options = DumpOptions(pid: pid ?? 0, imagesDirectory: ".")
        reader.readObstacleOptions(into: &options)
        try reader.finish()
        return options
    }
}
