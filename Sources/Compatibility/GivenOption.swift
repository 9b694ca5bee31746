/// An option as somebody wrote it, on the command line or in a configuration file.
public struct GivenOption: Sendable, Equatable {
    /// Where it was written.
    public enum Source: Sendable, Equatable {
        case commandLine
        /// The file and the line in it, counted from 1.
        case file(String, line: Int)

        /// The place for messages; nil for the command line, where nobody needs to be told.
        var place: String? {
            switch self {
            case .commandLine: nil
            case .file(let path, let line): "\(path):\(line)"
            }
        }
    }

    public var option: CommandOption
    /// Written as `--no-NAME`.
    public var negated = false
    /// The bytes of the value, nil where there is none.
    public var value: [UInt8]?
    public var source: Source = .commandLine

    /// The value as text, bytes that are not UTF-8 carried as `RawArgument` does.
    public var text: String? { value.map(RawArgument.text) }
}
