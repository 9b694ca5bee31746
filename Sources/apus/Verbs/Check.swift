internal import ArgumentParser
internal import Diagnostics

/// `apus check`.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say what this kernel can do for a dump and a restore.")

    @OptionGroup var common: CommonOptions

    @Option(help: "Check one feature alone and answer by the exit status; may be given several times.")
    var feature: [String] = []

    @Flag(help: "Also require what some programs need.")
    var extra = false

    @Flag(help: "Also require what is experimental.")
    var experimental = false

    @Flag(help: "Require everything.")
    var all = false

}

extension Check: Action {
    static func perform(in session: Session) throws -> Int32 {
        throw Problem("not-built", "the check is not built yet", remedy: "")
    }
}
