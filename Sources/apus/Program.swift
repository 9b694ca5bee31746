internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Glibc
internal import Linux
internal import Logging
internal import Migration
internal import SystemPackage

/// One run from the arguments to the exit status.
///
/// The order matters: the command line is understood first, mistakes included; then the log file is opened, so that it
/// exists after every run; then mistakes are reported; and only then a verb begins.
struct Program {
    private let start = ContinuousClock.now
    private let name: String
    private let arguments: [[UInt8]]

    init(arguments: [[UInt8]]) {
        name =
            arguments.first.flatMap { $0.split(separator: UInt8(ascii: "/")).last }.map { RawArgument.text(Array($0)) }
            ?? "apus"
        self.arguments = Array(arguments.dropFirst())
    }

    /// Runs and ends the process.
    mutating func exit() -> Never { Glibc.exit(run()) }

    private func run() -> Int32 {
        if let status = runParserService() { return status }
        let invocation = Invocation(arguments, configuration: .host(), asCRIU: name == "criu")
        if invocation.has("version") {
            Console.write(Version.text(asCRIU: name == "criu"))
            return 0
        }
        if invocation.has("help") || arguments.isEmpty { return help(invocation) }
        return run(invocation)
    }

    /// Answers what only the argument parser knows, such as scripts for shell completion and `help VERB`.
    private func runParserService() -> Int32? {
        let words = arguments.map(RawArgument.text)
        guard let first = words.first,
            first == "help" || first.hasPrefix("--generate-completion-script") || first.hasPrefix("---completion")
                || first == "--experimental-dump-help"
        else { return nil }
        return answer(words)
    }

    private func help(_ invocation: Invocation) -> Int32 {
        let status = answer((invocation.verb.map { $0.isBuilt ? [$0.rawValue] : [] } ?? []) + ["--help"])
        return arguments.isEmpty ? 1 : status
    }

    private func answer(_ words: [String]) -> Int32 {
        do {
            // The command that it gives for a question only throws the answer.
            var command = try Apus.parseAsRoot(words)
            try command.run()
            return 0
        } catch {
            let message = Apus.fullMessage(for: error)
            let text = name == "criu" ? message.replacing("apus ", with: "criu ") : message
            let status = Apus.exitCode(for: error).rawValue
            if status == 0 { Console.write(text + "\n") } else { Console.writeError(text + "\n") }
            return status == 0 ? 0 : 1
        }
    }

    private func run(_ invocation: Invocation) -> Int32 {
        var problems = invocation.problems
        var log: FileDescriptor?
        if let path = LogFile.path(for: invocation) {
            do { log = try LogFile.open(path) } catch { problems.append(error) }
        }
        let logger = makeLogger(invocation, file: log)
        let reporter = Reporter(
            logger: log == nil ? nil : logger, asJSON: invocation.has("json"), verb: invocation.verb?.rawValue ?? name)
        // Composed only where it is logged.
        logger.info("\(introduction)")
        for note in invocation.notes { logger.info("\(note)") }
        if let first = problems.first { return reporter.fail(Problems(first, Array(problems.dropFirst()))) }
        do {
            return try perform(Session(invocation: invocation, logger: logger))
        } catch {
            return reporter.fail(Self.explained(error))
        }
    }

    /// The error, with the wish to stop before it where there was one: what fails after that fails because of it.
    private static func explained(_ error: any Error) -> any Error {
        guard let wish = Cancellation.problem else { return error }
        switch error {
        // Nothing was rolled back of a tree that is on its way, or gone over: it was too late for the wish.
        case let one as Problem where Self.leavesDoubt(one): return one
        case let several as Problems where several.all.contains(where: Self.leavesDoubt): return several
        case let one as Problem: return one.code == wish.code ? one : Problems(wish, [one])
        case let several as Problems: return Problems(wish, several.all.filter { $0.code != wish.code })
        default: return error
        }
    }

    /// The original of a migration stands still, and nobody has taken anything back.
    private static func leavesDoubt(_ problem: Problem) -> Bool {
        problem.code == .unsettled || problem.code == .incomplete
    }

    /// The first line of every log: what a report of a defect needs most.
    private var introduction: String {
        let host = (try? HostFacts()).map { "Linux \(String(decoding: $0.release, as: UTF8.self))" } ?? "Linux"
        return
            "Apus \(Version.apus) on \(host): \(([Array(name.utf8)] + arguments).map(RawArgument.text).joined(separator: " "))"
    }

    private func makeLogger(_ invocation: Invocation, file: FileDescriptor?) -> Logger {
        let output = LogOutput(
            descriptor: file ?? .standardError,
            form: file != nil ? .file : .people(Console.errorStyle, overProgress: Console.errorIsTerminal),
            label: invocation.verb?.rawValue ?? name, verbosity: invocation.verbosity, start: start)
        return Logger(label: "apus") { _ in output }
    }

    private func perform(_ session: Session) throws -> Int32 {
        defer { session.progress.finish() }
        switch session.invocation.verb {
        case .dump:
            Cancellation.install()
            return try Dump.perform(in: session)
        case .restore:
            Cancellation.install()
            return try Restore.perform(in: session)
        case .check: return try Check.perform(in: session)
        case .run: return try Run.perform(in: session)
        case .explain: return try Explain.perform(in: session)
        case .gc: return try Collect.perform(in: session)
        case .recover:
            Processes.ignoreBrokenPipes()
            return try Recover.perform(in: session)
        case .migrate:
            Cancellation.install()
            Processes.ignoreBrokenPipes()
            return try Migrate.perform(in: session)
        case .attach:
            Processes.ignoreBrokenPipes()
            return try Attach.perform(in: session)
        case .receive:
            Cancellation.install()
            Processes.ignoreBrokenPipes()
            return try Receive.perform(in: session)
        case .show, .preDump, .pageServer, .lazyPages, .dedup, .service, .swrk, .cpuinfo, .exec, nil:
            return try parseAndRun(session.invocation.normalForm)
        }
    }

    /// Runs a verb that leaves its options to the argument parser.
    private func parseAndRun(_ words: [String]) throws -> Int32 {
        var command: any ParsableCommand
        do {
            command = try Apus.parseAsRoot(words)
        } catch {
            throw Problem(
                .invalidValue, Apus.message(for: error).printable, remedy: "See apus help \(words.first ?? "")")
        }
        do {
            try command.run()
            return 0
        } catch let code as ExitCode {
            return code.rawValue
        }
    }
}
