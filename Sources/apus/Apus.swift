internal import ArgumentParser

/// The program: a thin shell around the engines.
@main
struct Apus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "Move running Linux processes: freeze a tree, write it to images, bring it back to life.",
        discussion: """
            CRIU's verbs and options work unchanged; see apus(1) and docs/command-line.md.
              apus dump -t PID -D DIR --shell-job
              apus restore -D DIR --shell-job
            """,
        subcommands: [
            Dump.self, Restore.self, Check.self, Show.self, Explain.self, Run.self, Migrate.self, Receive.self,
            Attach.self, Recover.self, Collect.self,
        ]
    )

    static func main() {
        var program = Program(arguments: ProcessArguments.bytes)
        program.exit()
    }
}
