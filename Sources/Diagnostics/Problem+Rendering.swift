internal import SystemPackage

/// How text for people is laid out.
public struct TextStyle: Sendable, Equatable {
    /// Use colours and bold type (ECMA-48).
    public var coloured: Bool
    /// The width of the terminal, in columns.
    public var columns: Int

    public init(coloured: Bool = false, columns: Int = 100) {
        self.coloured = coloured
        // A narrower terminal folds the lines by itself; breaking words there would not help anybody.
        self.columns = max(columns, 40)
    }

    /// The text in bold red, where colours are wanted.
    public func alarming(_ text: String) -> String { coloured ? "\u{1b}[1;31m\(text)\u{1b}[0m" : text }
    /// The text in yellow, where colours are wanted.
    public func warning(_ text: String) -> String { coloured ? "\u{1b}[33m\(text)\u{1b}[0m" : text }
    /// The text in bold type, where it is wanted.
    public func strong(_ text: String) -> String { coloured ? "\u{1b}[1m\(text)\u{1b}[0m" : text }
    /// The text in cyan, where colours are wanted.
    public func helpful(_ text: String) -> String { coloured ? "\u{1b}[36m\(text)\u{1b}[0m" : text }
}

extension Problem {
    /// The problem for people, several lines with a final newline:
    ///
    ///     error[pid-in-use]: process 4711
    ///       another process has this pid
    ///       cause: clone3(set_tid=[4711]): File exists
    ///       help: end that process, or restore in a pid namespace of its own
    public func rendered(_ style: TextStyle = TextStyle()) -> String {
        var text = style.alarming("error[\(code.rawValue)]") + style.strong(":")
        let subject = object.description
        let summary = summary.printable
        if subject.isEmpty {
            text += " " + summary.wrapped(style, hanging: 2, used: code.rawValue.count + 9) + "\n"
        } else {
            text += " " + style.strong(subject.printable) + "\n"
            text += "  " + summary.wrapped(style, hanging: 2) + "\n"
        }
        if let cause {
            let words = "\(cause.attempted): \(cause.errno.description)".printable
            text += "  cause: " + words.wrapped(style, hanging: 9) + "\n"
        }
        return remedy.isEmpty ? text : text + Self.help(remedy, style)
    }

    static func help(_ remedy: String, _ style: TextStyle) -> String {
        "  " + style.helpful("help:") + " " + remedy.printable.wrapped(style, hanging: 8) + "\n"
    }
}

extension Problems {
    /// All problems for people, a blank line between two of them, and their number where there are several.
    public func rendered(_ style: TextStyle = TextStyle()) -> String {
        let text = Self.texts(of: all, style).joined(separator: "\n")
        return all.count == 1 ? text : text + "\n" + style.strong("\(all.count) problems found") + "\n"
    }
}

extension String {
    /// The text with control characters escaped, so that a hostile file name cannot drive the terminal.
    public var printable: String {
        guard utf8.contains(where: { $0 < 0x20 || $0 == 0x7f || $0 == 0xc2 }) else { return self }
        var output = ""
        for scalar in unicodeScalars {
            if scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) {
                output += "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            } else {
                output.unicodeScalars.append(scalar)
            }
        }
        return output
    }

    /// Breaks the text at spaces, further lines indented by `hanging` columns.
    ///
    /// - Parameter used: the columns of the first line that are taken; as many, where it is not given.
    public func wrapped(_ style: TextStyle, hanging: Int, used: Int? = nil) -> String {
        var output = ""
        var column = used ?? hanging
        for word in split(separator: " ") {
            if column + 1 + word.count > style.columns && column > hanging {
                output += "\n" + String(repeating: " ", count: hanging)
                column = hanging
            } else if !output.isEmpty {
                output += " "
                column += 1
            }
            output += word
            column += word.count
        }
        return output
    }
}
