internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Linux
internal import Logging

/// `apus check`.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say what this kernel can do for a dump and a restore.")

    @OptionGroup var common: CommonOptions

    @Option(
        help: .init(
            "Check this feature alone and answer by the exit status; may be given several times.", valueName: "name"),
        completion: .list(KernelFeature.all.map(\.name)))
    var feature: [String] = []

    @Flag(help: "Fail also over features that only some programs need.")
    var extra = false

    @Flag(help: "The same as --extra.")
    var all = false
}

extension Check: Action {
    static func perform(in session: Session) throws -> Int32 {
        let reader = OptionReader(session.invocation)
        let names = reader.values("feature").map { String(decoding: $0, as: UTF8.self) }
        let features = names.isEmpty ? KernelFeature.all : try FeatureReport.features(named: names)
        let kernel = (try? HostFacts()).map { String(decoding: $0.release, as: UTF8.self) } ?? "unknown"
        let report = FeatureReport(
            kernel: kernel, findings: features.map { .init(probing: $0) },
            requiresAll: !names.isEmpty || reader.flag("extra") || reader.flag("all"))
        if reader.flag("json") {
            Console.write(report.json.text() + "\n")
        } else if names.isEmpty {
            Console.write(report.text(Console.outputStyle))
        } else {
            try Problems.throwIfAny(report.problems)
            Console.write("Looks good.\n")
        }
        for problem in report.problems { session.logger.info("\(problem.description)") }
        return report.succeeds ? 0 : 1
    }
}
