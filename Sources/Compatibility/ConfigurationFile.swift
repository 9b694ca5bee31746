internal import Diagnostics

/// The contents of a configuration file: one option a line, by its long name without dashes, its value after blanks
/// (criu(8), CONFIGURATION FILES).
///
///     tcp-established
///     work-dir "/srv/my \"work\" directory"   # a comment
///     no-leave-running
struct ConfigurationFile {
    private(set) var given: [GivenOption] = []
    private(set) var problems: [Problem] = []

    /// Reads the bytes of a file; `name` is what messages call it.
    init(_ bytes: [UInt8], name: String, resolver: OptionResolver) {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let source = GivenOption.Source.file(name, line: index + 1)
            switch Self.words(line) {
            case .success(let words): interpret(words, source: source, resolver: resolver)
            case .failure(let mistake): problems.append(Self.syntax(mistake.rawValue, source))
            }
        }
    }

    private mutating func interpret(_ words: [[UInt8]], source: GivenOption.Source, resolver: OptionResolver) {
        guard var name = words.first else { return }
        // Dashes, and an equals sign instead of the blank, are what people write by habit.
        if name.starts(with: "--".utf8) { name.removeFirst(2) }
        var value = words.count > 1 ? words[1] : nil
        if value == nil, let equals = name.firstIndex(of: UInt8(ascii: "=")) {
            value = Array(name[(equals + 1)...])
            name.removeSubrange(equals...)
        }
        guard let match = resolver.match(RawArgument.text(name), source: source, problems: &problems) else { return }
        if words.count > 2 {
            problems.append(Self.syntax("there is more than one value; put quotes around it", source))
            return
        }
        let object = Problem.Object(path: source.place)
        switch match.option.argument {
        case .none where value != nil:
            problems.append(
                Problem(
                    .unexpectedValue, "option \(match.name) takes no value", object: object,
                    remedy: "Write the name of the option alone"))
        case .required(let placeholder) where value == nil:
            problems.append(
                Problem(
                    .missingValue, "option \(match.name) needs a value", object: object,
                    remedy: "Write \(match.name) \(placeholder)"))
        case .none, .required, .optional:
            given.append(GivenOption(option: match.option, negated: match.negated, value: value, source: source))
        }
    }

    private enum Mistake: String, Error {
        case openQuote = "a quotation mark is not closed"
    }

    /// The words of a line: separated by blanks, quotes taken off, the comment left out.
    private static func words(_ line: ArraySlice<UInt8>) -> Result<[[UInt8]], Mistake> {
        var words: [[UInt8]] = []
        var word: [UInt8]?
        var quoted = false
        var escaped = false
        for byte in line {
            if quoted {
                if escaped {
                    // Only a quotation mark and a backslash can be escaped; a backslash before others stays.
                    if byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") { word?.append(UInt8(ascii: "\\")) }
                    word?.append(byte)
                    escaped = false
                } else if byte == UInt8(ascii: "\\") {
                    escaped = true
                } else if byte == UInt8(ascii: "\"") {
                    quoted = false
                } else {
                    word?.append(byte)
                }
            } else if byte == UInt8(ascii: "\"") {
                quoted = true
                word = word ?? []
            } else if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r") {
                if let finished = word { words.append(finished) }
                word = nil
            } else if byte == UInt8(ascii: "#") && word == nil {
                break
            } else {
                word = (word ?? []) + [byte]
            }
        }
        if quoted { return .failure(.openQuote) }
        if let finished = word { words.append(finished) }
        return .success(words)
    }

    private static func syntax(_ text: String, _ source: GivenOption.Source) -> Problem {
        Problem(
            .configurationSyntax, text, object: .init(path: source.place),
            remedy: "Write one option a line: its name without dashes, blanks, its value")
    }
}
