public import Diagnostics

/// One command line, understood: what was asked, put into one normal form whatever way it was written.
///
/// Mistakes are values here and do not stop the understanding: the caller still learns the log file.
public struct Invocation: Sendable {
    /// What is to be done; nil where the command line has no verb or an unknown one.
    public private(set) var verb: Verb?
    /// The options in force, from the configuration files and the command line, repetitions and negations resolved.
    public private(set) var options: [GivenOption] = []
    /// What belongs to no option, the verb not among it: the directory of `show`, the command of `--exec-cmd`.
    public private(set) var operands: [[UInt8]] = []
    /// Level of the log, 0 to 4.
    public private(set) var verbosity = 2
    /// What is wrong.
    public private(set) var problems: [Problem] = []
    /// What the log should say: options without effect.
    public private(set) var notes: [String] = []

    /// Understands the arguments (the program's name not among them).
    ///
    /// - Parameter asCRIU: the program was called `criu`: `-o` names the log, whatever the name.
    public init(_ arguments: [[UInt8]], configuration: ConfigurationSources, asCRIU: Bool = false) {
        let resolver = OptionResolver()
        let scan = ArgumentScanner(arguments, resolver: resolver, asCRIU: asCRIU)
        problems = scan.problems
        let files = configuration.load(for: scan.given, resolver: resolver)
        problems += files.problems
        takeVerb(scan)
        merge(files.given + scan.given)
        if let verb, !verb.isBuilt {
            problems.append(
                Problem(
                    .verbNotBuilt, "\(verb.rawValue) is not built yet", object: .init(),
                    remedy: "Version \(Version.apus) can do: \(Self.builtVerbs)"))
            return
        }
        checkOptions()
        takeOperands(scan)
    }

    /// Whether a flag is set, or an option given at all.
    public func has(_ long: String) -> Bool { options.contains { $0.option.long == long } }

    /// The value of an option.
    public func value(of long: String) -> [UInt8]? { options.last { $0.option.long == long }?.value }

    /// The normal form: the verb, `--name` or `--name=value` for every option that takes effect, `--` and the operands.
    public var normalForm: [String] {
        var form: [String] = []
        if let verb { form.append(verb.rawValue) }
        form.append("--verbosity=\(verbosity)")
        for given in options where given.takesEffect {
            form.append(given.option.spelling + (given.text.map { "=" + $0 } ?? ""))
        }
        if !operands.isEmpty { form += ["--"] + operands.map(RawArgument.text) }
        return form
    }

    static let builtVerbs = Verb.allCases.filter(\.isBuilt).map(\.rawValue).joined(separator: ", ")
}

extension Invocation {
    private mutating func takeVerb(_ scan: ArgumentScanner) {
        guard let first = scan.positionals.first else {
            if !scan.given.contains(where: { $0.option.long == "help" || $0.option.long == "version" }) {
                problems.append(
                    Problem(.missingVerb, "it is not said what to do", remedy: "Give one of: \(Self.builtVerbs)"))
            }
            return
        }
        verb = Verb(rawValue: first.text)
        guard verb == nil else { return }
        if let option = first.follows {
            problems.append(detached(option, first.text))
            // The verb may still come: `--verbosity 4 dump`.
            verb = scan.positionals.dropFirst().first.flatMap { Verb(rawValue: $0.text) }
        } else {
            let similar = Spelling.nearest(to: first.text, among: Verb.allCases.map(\.rawValue))
            problems.append(
                Problem(
                    .unknownVerb, "there is no verb \(first.text.printable)",
                    remedy: similar.isEmpty
                        ? "Give one of: \(Self.builtVerbs)" : "Perhaps \(similar.joined(separator: " or ")) was meant"))
        }
    }

    private func detached(_ option: CommandOption, _ text: String) -> Problem {
        Problem(
            .unexpectedArgument, "\(text.printable) does not belong to \(option.spelling): its value must be attached",
            remedy: "Write \(option.spelling)=\(text.printable)")
    }

    private mutating func takeOperands(_ scan: ArgumentScanner) {
        guard let verb, let place = scan.positionals.firstIndex(where: { $0.text == verb.rawValue }) else { return }
        let others = scan.positionals[(place + 1)...]
        operands = others.map(\.bytes) + (scan.terminated ?? [])
        if verb == .show || verb == .explain || verb == .check || verb == .migrate || verb == .attach
            || has("exec-cmd")
        {
            return
        }
        if verb == .run, others.isEmpty { return }
        // The bundle, or the image directory.
        if verb == .restore, operands.count == 1, others.count == 1, others.first?.follows == nil { return }
        let texts = others.map(\.text)
        for argument in others {
            problems.append(
                argument.follows.map { detached($0, argument.text) } ?? unexpected(argument.text, of: verb, texts))
            // The words of one program are one mistake.
            if verb == .run { return }
        }
        for bytes in scan.terminated ?? [] { problems.append(unexpected(RawArgument.text(bytes), of: verb, texts)) }
    }

    /// - Parameter all: what stands before `--` and belongs to no option.
    private func unexpected(_ text: String, of verb: Verb, _ all: [String]) -> Problem {
        let remedy =
            switch verb {
            case .run: "Write the program behind --, as in: apus run -- \(all.map(\.printable).joined(separator: " "))"
            case .dump where !has("tree") && Int32(text) != nil:
                "Give the process with -t, as in: apus dump -t \(text) -D DIRECTORY"
            case .restore: "Remove it; for the command of --exec-cmd, give that option"
            default: "Remove it"
            }
        return Problem(.unexpectedArgument, "the argument \(text.printable) is not expected", remedy: remedy)
    }

    /// Puts what was written in order: the last one counts, all are collected, levels are summed up.
    private mutating func merge(_ given: [GivenOption]) {
        for item in given {
            switch item.option.repetition {
            case .counted: raiseVerbosity(item)
            case .collected: options.append(item)
            case .lastWins:
                options.removeAll { $0.option.long == item.option.long }
                if !item.negated { options.append(item) }
            }
        }
    }

    /// `-v` raises the level by one, `-vvv` by three, `-v4` sets it. More than everything is everything.
    private mutating func raiseVerbosity(_ item: GivenOption) {
        guard let value = item.value else {
            verbosity = min(verbosity + 1, 4)
            return
        }
        if let level = Int(RawArgument.text(value)), level >= 0 {
            verbosity = min(level, 4)
        } else if !value.isEmpty, value.allSatisfy({ $0 == UInt8(ascii: "v") }) {
            verbosity = min(verbosity + value.count + 1, 4)
        } else {
            problems.append(
                Problem(
                    .invalidValue, "\(RawArgument.text(value).printable) is not a level of --verbosity",
                    object: .init(path: item.source.place), remedy: "Give a number from 0 to 4"))
        }
    }

    /// Refuses what is not built, and takes out what has no effect.
    private mutating func checkOptions() {
        guard let verb else { return }
        for given in options {
            let written = given.source.place == nil ? given.option.spelling : given.option.long
            guard given.option.verbs.covers(verb) else {
                // A configuration file is for all verbs.
                if given.source.place == nil, let remedy = Self.misplaced(given.option, verb) {
                    problems.append(
                        Problem(.misplacedOption, "\(verb.rawValue) has no option \(written)", remedy: remedy))
                    continue
                }
                notes.append("\(written) has no effect on \(verb.rawValue)")
                continue
            }
            switch given.option.status {
            case .works: break
            case .neutral(let why): notes.append("\(written) changes nothing: \(why)")
            case .among(let values):
                if let text = given.text, values.contains(text) { break }
                problems.append(
                    .invalid(
                        given.option.spelling, given.text ?? "", expected: "one of \(values.joined(separator: ", "))"))
            case .someOf(let values):
                let wrong = (given.text ?? values[0]).split(separator: ",", omittingEmptySubsequences: false)
                    .first { !values.contains(String($0)) }
                guard let wrong else { break }
                problems.append(
                    .invalid(
                        given.option.spelling, String(wrong),
                        expected: "\(values.joined(separator: ", ")), or several of them with commas"))
            case .only(let values):
                if let text = given.text, values.contains(text) { break }
                let value = given.text.map { "=\($0.printable)" } ?? " without a value"
                refuse(written + value, given, remedy: "Use \(given.option.spelling)=\(values.joined(separator: ", "))")
            case .notBuilt:
                refuse(written, given, remedy: "Leave it out if the program does not need it")
            }
        }
        options.removeAll { !$0.option.verbs.covers(verb) }
    }

    /// What is said of an option that another verb has. CRIU passes over its own; who gives one of Apus's counts on what it does.
    ///
    /// - Returns: the remedy; nil where the option has no effect.
    private static func misplaced(_ option: CommandOption, _ verb: Verb) -> String? {
        switch (verb, option.long) {
        case (.migrate, "leave-running"): return "Give --keep-original to have the original stay, stopped"
        case (.dump, "keep-original"): return "Give --leave-running to have the processes run on after the dump"
        case (.restore, "detach"): return "Give --restore-detached (-d)"
        case (.dump, "dry-run"): return "Ask `apus explain PID` what a dump would do"
        default:
            guard option.origin == .apus else { return nil }
            let verbs = Verb.allCases.filter { option.verbs.covers($0) }.map(\.rawValue)
            return "Leave it out: it is an option of \(verbs.joined(separator: ", "))"
        }
    }

    private mutating func refuse(_ written: String, _ given: GivenOption, remedy: String) {
        problems.append(
            Problem(
                .optionNotBuilt, "option \(written) is not built yet", object: .init(path: given.source.place),
                remedy: remedy))
    }
}

extension GivenOption {
    /// Whether the verbs need to hear of the option; those that the normal form has resolved, they do not.
    fileprivate var takesEffect: Bool {
        switch option.status {
        case .works: !["config", "no-default-config", "version"].contains(option.long)
        case .neutral, .among, .someOf, .only, .notBuilt: false
        }
    }
}
