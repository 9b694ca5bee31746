internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Logging
internal import Migration
internal import Restore
internal import SystemPackage

/// `apus receive`: the other side of `apus migrate`.
struct Receive: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive", abstract: "Take a process tree from another host.",
        discussion: """
            It is started by `apus migrate`, over ssh, and speaks with it over its standard input and output.
              ssh HOST apus receive --stdio
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var state: StateOptions

    @Flag(help: "Speak over standard input and output.")
    var stdio = false
}

extension Receive: Action {
    static func perform(in session: Session) throws -> Int32 {
        var reader = OptionReader(session.invocation)
        if !reader.flag("stdio") {
            reader.report([
                Problem(
                    .missingOption, "it is not said where the tree comes from",
                    remedy: "Give --stdio; `apus migrate` does so by itself")
            ])
        }
        let options = Arrival.Options(stateDirectory: reader.path("state-dir") ?? RestoreOptions.usualState)
        try reader.finish()
        return try Arrival.serve(options, logger: session.logger)
    }
}
