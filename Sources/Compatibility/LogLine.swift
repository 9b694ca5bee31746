internal import Logging

/// How one message looks in a log file: `(00.001234) Error (restore): text`.
///
/// Clients of CRIU look for lines with `Error` and read the seconds since the start between the parentheses.
enum LogLine {
    /// The line, with its newline.
    static func text(
        _ message: String, level: Logger.Level, label: String, metadata: Logger.Metadata, elapsed: Duration
    ) -> String {
        var line = "(\(stamp(elapsed))) "
        switch level {
        case .critical, .error: line += "Error (\(label)): "
        case .warning: line += "Warn  (\(label)): "
        case .notice, .info, .debug, .trace: break
        }
        line += singleLine(message)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(singleLine("\(value)"))" }
        return line + "\n"
    }

    /// Seconds and microseconds, the seconds with two digits at least.
    static func stamp(_ elapsed: Duration) -> String {
        let (seconds, attoseconds) = elapsed.components
        let micros = String(attoseconds / 1_000_000_000_000)
        return (seconds < 10 ? "0" : "") + "\(seconds)." + String(repeating: "0", count: 6 - micros.count) + micros
    }

    /// A message never makes a second line: a file name with a newline in it must not forge one.
    private static func singleLine(_ text: String) -> String {
        text.utf8.contains(UInt8(ascii: "\n")) ? text.split(separator: "\n").joined(separator: "\\n") : text
    }
}
