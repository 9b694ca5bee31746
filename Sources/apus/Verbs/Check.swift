internal import ArgumentParser
internal import Bundles
internal import Compatibility
internal import Diagnostics
internal import Linux
internal import Logging
internal import Restore
internal import SystemPackage

/// `apus check`.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say what this kernel can do, or whether images can be restored here.",
        discussion: """
            Without a directory it probes the kernel, as in CRIU. With one, or with a bundle, it asks all that a restore
            asks before it makes anything, and takes the options of a restore.
              apus check
              apus check DIR
              apus check job.apus
            """)

    @Argument(help: "The image directory, or the bundle.", completion: .file())
    var path: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var obstacles: ObstacleOptions
    @OptionGroup var files: FileOptions
    @OptionGroup var processor: ProcessorOptions
    @OptionGroup var replacements: RestoreFileOptions
    @OptionGroup var state: StateOptions
    @OptionGroup var bundle: BundleOptions
    @OptionGroup var bundleReading: BundleReadingOptions

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
        if !session.invocation.operands.isEmpty || session.invocation.has("bundle") { return try examine(session) }
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

    /// Whether images can be restored here.
    private static func examine(_ session: Session) throws -> Int32 {
        var reader = OptionReader(session.invocation)
        let operands = session.invocation.operands
        if operands.count > 1 {
            reader.report([
                Problem(
                    .unexpectedArgument, "\(RawArgument.text(operands[1]).printable) is one image directory too many",
                    remedy: "Check one directory at a time")
            ])
        }
        var options = reader.examinedOptions(session, at: FilePath(bytes: operands.first ?? Array(".".utf8)))
        // As most are restored; what only others are told is no obstacle.
        options.detached = true
        try reader.finish()
        let bundle = try BundleInput(session)
        // What is unpacked is removed whatever comes.
        if bundle != nil { Cancellation.install() }
        let scratch = try bundle?.unpack(into: &options)
        defer { scratch?.remove() }
        let check = RestoreCheck(options, named: bundle?.path.string)
        if reader.flag("json") {
            Console.write(check.json.text() + "\n")
        } else {
            Console.write(check.text(Console.outputStyle))
        }
        for problem in check.problems { session.logger.info("\(problem.description)") }
        return check.problems.isEmpty ? 0 : 1
    }
}
