public import Diagnostics

// The problems of the command line and of configuration files.
extension Problem.Code {
    /// No option has this name.
    public static let unknownOption: Self = "unknown-option"
    /// The abbreviation fits several options.
    public static let ambiguousOption: Self = "ambiguous-option"
    /// The option needs a value and has none.
    public static let missingValue: Self = "missing-value"
    /// The option takes no value and has one.
    public static let unexpectedValue: Self = "unexpected-value"
    /// The value is not one that the option can take.
    public static let invalidValue: Self = "invalid-value"
    /// The option, or this value of it, is not built yet.
    public static let optionNotBuilt: Self = "option-not-built"
    /// The option is another verb's.
    public static let misplacedOption: Self = "misplaced-option"
    /// An option that the verb cannot do without is missing.
    public static let missingOption: Self = "missing-option"
    /// No verb has this name.
    public static let unknownVerb: Self = "unknown-verb"
    /// There is no verb on the command line.
    public static let missingVerb: Self = "missing-verb"
    /// The verb is not built yet.
    public static let verbNotBuilt: Self = "verb-not-built"
    /// An argument stands where none is expected.
    public static let unexpectedArgument: Self = "unexpected-argument"
    /// A line of a configuration file cannot be understood.
    public static let configurationSyntax: Self = "configuration-syntax"
    /// A configuration file cannot be read.
    public static let configurationUnreadable: Self = "configuration-unreadable"
}
