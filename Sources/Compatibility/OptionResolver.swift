internal import Diagnostics

/// Finds options by name, as getopt_long(3) does: exactly, or by an abbreviation that fits only one.
struct OptionResolver {
    /// What a written name stands for.
    struct Match: Equatable {
        var option: CommandOption
        /// It was written `--no-NAME`.
        var negated: Bool
        /// The name in full, as it could have been written.
        var name: String { negated ? "no-" + option.long : option.long }
    }

    enum Outcome: Equatable {
        case found(Match)
        case ambiguous([String])
        /// No option; the names that look alike.
        case unknown([String])
    }

    private let names: [Match]
    private let shorts: [UInt8: CommandOption]

    init(_ options: [CommandOption] = CommandOption.all) {
        names = options.flatMap { option -> [Match] in
            let plain = Match(option: option, negated: false)
            return option.isNegatable ? [plain, Match(option: option, negated: true)] : [plain]
        }
        shorts = Dictionary(
            options.compactMap { option in option.short.map { ($0, option) } }, uniquingKeysWith: { first, _ in first })
    }

    /// The option with this short form.
    func short(_ letter: UInt8) -> CommandOption? { shorts[letter] }

    /// The option with this long name or abbreviation.
    ///
    /// CRIU's names come first, so that an option of our own never makes a script's abbreviation ambiguous.
    func long(_ written: String) -> Outcome {
        if let exact = names.first(where: { $0.name == written }) { return .found(exact) }
        guard !written.isEmpty else { return .unknown([]) }
        let fitting = names.filter { $0.name.hasPrefix(written) }
        let first = fitting.filter { $0.option.origin == .criu }
        let candidates = first.isEmpty ? fitting : first
        if candidates.count == 1, let only = candidates.first { return .found(only) }
        if candidates.count > 1 { return .ambiguous(candidates.map { "--" + $0.name }) }
        return .unknown(Spelling.nearest(to: written, among: names.lazy.map(\.name)).map { "--" + $0 })
    }
}
