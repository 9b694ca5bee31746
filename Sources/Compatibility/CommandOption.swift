/// One option of the command line: how it is written, where it means something, and whether it is built.
public struct CommandOption: Sendable, Equatable {
    /// Whether a value belongs to the option (getopt_long(3)).
    public enum Argument: Sendable, Equatable {
        /// It is a flag; `--no-NAME` takes it back.
        case none
        /// A value follows, attached or as the next argument.
        case required(String)
        /// A value may follow, and only attached: `-v4`, `--verbosity=4`.
        case optional(String)
    }

    /// What it means to give the option more than once.
    public enum Repetition: Sendable, Equatable {
        /// The last one counts.
        case lastWins
        /// All count, in their order.
        case collected
        /// Each one raises a level.
        case counted
    }

    /// What this version does with the option.
    public enum Status: Sendable, Equatable {
        /// It works.
        case works
        /// It is accepted and changes nothing, which is true to its meaning; the text says why.
        case neutral(String)
        /// It works with these values, and there are no others.
        case among([String])
        /// It works with any of these values, separated by commas, and without one.
        case someOf([String])
        /// It works with these values; with others it is not built yet.
        case only([String])
        /// It is refused by name.
        case notBuilt
    }

    /// Whose option it is.
    public enum Origin: Sendable, Equatable { case criu, apus }

    /// The long name, without dashes.
    public let long: String
    /// The short form, a letter.
    public let short: UInt8?
    public let argument: Argument
    public let repetition: Repetition
    /// The verbs to which the option means something. Given to another verb it has no effect, as in CRIU.
    public let verbs: Verb.Selection
    public let status: Status
    public let origin: Origin
    /// One line for tables of options.
    public let summary: String

    init(
        _ long: String, _ short: Character? = nil, _ argument: Argument = .none,
        repetition: Repetition = .lastWins, for verbs: Verb.Selection = .all, status: Status = .works,
        origin: Origin = .criu, does summary: String
    ) {
        self.long = long
        self.short = short?.asciiValue
        self.argument = argument
        self.repetition = repetition
        self.verbs = verbs
        self.status = status
        self.origin = origin
        self.summary = summary
    }

    /// Whether `--no-NAME` exists.
    var isNegatable: Bool { argument == .none && !long.hasPrefix("no-") && long != "help" && long != "version" }

    /// The option as it is written out in messages: `--tree`.
    public var spelling: String { "--" + long }
}
