internal import Diagnostics

/// Takes a command line apart into options, positional arguments and what stands behind `--`, by the rules of
/// getopt_long(3) with permutation: options may stand anywhere, before or after the verb.
///
/// It does not stop at the first mistake: all are collected, and what could be understood is still there, so that a
/// run with a wrong option can open its log file and say so in it.
struct ArgumentScanner {
    /// An argument that belongs to no option.
    struct Positional: Equatable {
        var bytes: [UInt8]
        /// The option right before it that could have had it as its value, had it been attached.
        var follows: CommandOption?
        var text: String { RawArgument.text(bytes) }
    }

    private(set) var given: [GivenOption] = []
    private(set) var positionals: [Positional] = []
    /// The arguments after `--`, nil where there is none.
    private(set) var terminated: [[UInt8]]?
    private(set) var problems: [Problem] = []

    private let resolver: OptionResolver
    private let asCRIU: Bool
    private var rest: ArraySlice<[UInt8]>

    /// Scans the arguments, the name of the program not among them.
    init(_ arguments: [[UInt8]], resolver: OptionResolver, asCRIU: Bool = false) {
        self.resolver = resolver
        self.asCRIU = asCRIU
        rest = arguments[...]
        var bare: CommandOption?
        while let argument = rest.popFirst() {
            let before = given.count
            if argument == Array("--".utf8) {
                terminated = Array(rest)
                break
            } else if argument.starts(with: "--".utf8) {
                scanLong(argument.dropFirst(2))
            } else if argument.first == UInt8(ascii: "-"), argument.count > 1 {
                scanShorts(argument.dropFirst())
            } else {
                positionals.append(Positional(bytes: argument, follows: bare))
            }
            bare = given.count > before ? given.last.flatMap(Self.couldTakeMore) : nil
        }
    }

    private static func couldTakeMore(_ given: GivenOption) -> CommandOption? {
        if case .optional = given.option.argument, given.value == nil { return given.option }
        return nil
    }

    private mutating func scanLong(_ written: ArraySlice<UInt8>) {
        let parts = written.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
        let name = RawArgument.text(Array(parts.first ?? []))
        let attached = parts.count > 1 ? parts.last.map(Array.init) : nil
        guard let match = resolver.match(name, problems: &problems) else { return }
        var option = GivenOption(option: match.option, negated: match.negated, value: attached)
        switch match.option.argument {
        case .none:
            if attached != nil {
                problems.append(
                    Problem(
                        .unexpectedValue, "option --\(match.name) takes no value",
                        remedy: "Write --\(match.name) alone"))
                return
            }
        case .required:
            if attached == nil {
                guard let next = rest.popFirst() else { return missing(match.option, written: "--" + match.name) }
                option.value = next
            }
        case .optional: break
        }
        given.append(option)
    }

    /// Letters behind one dash: flags in a bundle, the last one perhaps with its value.
    private mutating func scanShorts(_ letters: ArraySlice<UInt8>) {
        if let value = Self.misspelledVerbosity(letters), case .found(let match) = resolver.long("verbosity") {
            given.append(GivenOption(option: match.option, value: value))
            return
        }
        var letters = letters
        while let letter = letters.popFirst() {
            guard let option = resolver.short(letter) else {
                let name = "-" + RawArgument.text([letter])
                problems.append(
                    Problem(
                        .unknownOption, "there is no option \(name.printable)",
                        remedy: "See apus help, or docs/command-line.md for all options"))
                return
            }
            var found = GivenOption(option: option)
            switch option.argument {
            case .none: break
            case .optional:
                // Only what can be a level belongs to -v: in `-vvj` and `-v4j` the j is another flag.
                let counted = option.repetition == .counted
                let value = counted ? letters.prefix { Self.isLevel($0, like: letters.first) } : letters
                if !value.isEmpty { found.value = Array(value) }
                letters = letters.dropFirst(value.count)
            case .required:
                if letters.isEmpty {
                    guard let next = rest.popFirst() else {
                        return missing(option, written: "-" + RawArgument.text([letter]))
                    }
                    found.value = next
                } else {
                    found.value = Array(letters)
                    letters = []
                }
            }
            given.append(asBundle(found))
        }
    }

    /// `-o FILE` is CRIU's for the log file. A name that ends in `.apus`, and `-`, are none of a log: they mean a bundle.
    private func asBundle(_ found: GivenOption) -> GivenOption {
        guard !asCRIU, found.option.long == "log-file", let name = found.value,
            name == Array("-".utf8) || name.suffix(5).elementsEqual(".apus".utf8),
            case .found(let bundle) = resolver.long("bundle")
        else { return found }
        return GivenOption(option: bundle.option, value: name)
    }

    /// Whether the byte goes on with a level that began with this one: digits, or more of the letter v.
    private static func isLevel(_ byte: UInt8, like first: UInt8?) -> Bool {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard let first else { return false }
        return digits.contains(first) ? digits.contains(byte) : byte == UInt8(ascii: "v") && first == byte
    }

    private mutating func missing(_ option: CommandOption, written: String) {
        guard case .required(let placeholder) = option.argument else { return }
        problems.append(
            Problem(
                .missingValue, "option \(written) needs a value", remedy: "Write \(option.spelling)=\(placeholder)"))
    }

    /// Some clients write `-verbosity=4`, with one dash. Read letter by letter it would be `-v` with a strange value.
    private static func misspelledVerbosity(_ letters: ArraySlice<UInt8>) -> [UInt8]? {
        let name = "verbosity="
        return letters.starts(with: name.utf8) ? Array(letters.dropFirst(name.utf8.count)) : nil
    }
}

extension OptionResolver {
    /// The option that a written long name stands for, or nil and a problem.
    func match(_ written: String, source: GivenOption.Source = .commandLine, problems: inout [Problem]) -> Match? {
        let dashes = source == .commandLine ? "--" : ""
        let object = Problem.Object(path: source.place)
        switch long(written) {
        case .found(let match): return match
        case .ambiguous(let candidates):
            problems.append(
                Problem(
                    .ambiguousOption,
                    "option \(dashes)\(written.printable) could be "
                        + candidates.joined(separator: ", "), object: object,
                    remedy: "Write the option in full"))
        case .unknown(let similar):
            problems.append(
                Problem(
                    .unknownOption, "there is no option \(dashes)\(written.printable)", object: object,
                    remedy: similar.isEmpty
                        ? "See apus help, or docs/command-line.md for all options"
                        : "Perhaps \(similar.joined(separator: " or ")) was meant"))
        }
        return nil
    }
}
