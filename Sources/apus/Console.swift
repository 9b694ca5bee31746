internal import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// The standard output and the standard error of this process.
enum Console {
    /// Writes to the standard output.
    static func write(_ text: String) { _ = try? FileDescriptor.standardOutput.writeAll(text.utf8) }

    /// Writes to the standard error.
    static func writeError(_ text: String) { _ = try? FileDescriptor.standardError.writeAll(text.utf8) }

    /// Whether somebody may be typing.
    static let inputIsTerminal = isatty(STDIN_FILENO) == 1

    /// Whether somebody may be looking at the standard error.
    static let errorIsTerminal = isatty(STDERR_FILENO) == 1

    /// How text on the standard error is laid out: in colours on a terminal that is not dumb, unless NO_COLOR is set.
    static var errorStyle: TextStyle { style(STDERR_FILENO, isTerminal: errorIsTerminal) }

    /// The same for the standard output.
    static var outputStyle: TextStyle { style(STDOUT_FILENO, isTerminal: isatty(STDOUT_FILENO) == 1) }

    private static func style(_ descriptor: Int32, isTerminal: Bool) -> TextStyle {
        let plain = variable("TERM") == "dumb" || variable("NO_COLOR").map { !$0.isEmpty } ?? false
        let size = isTerminal ? try? Terminal.windowSize(descriptor) : nil
        // A terminal that does not know its size says 0.
        let columns = size.map { Int($0.columns) }.flatMap { $0 > 0 ? $0 : nil }
        return TextStyle(coloured: isTerminal && !plain, columns: columns ?? 100)
    }

    private static func variable(_ name: String) -> String? {
        // unsafe: a C string that is copied at once.
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }
}
