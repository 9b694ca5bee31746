public import Diagnostics
public import Logging
internal import Synchronization
public import SystemPackage

/// Where log messages go: lines like CRIU's into a file, or text for people on the standard error.
///
/// A line is one write(2), unbuffered: what was logged before a crash is in the file.
public struct LogOutput: LogHandler {
    /// The shape of the lines.
    public enum Form: Sendable {
        /// Lines like CRIU's.
        case file
        /// Text for people; `overProgress` where a progress line may stand that the text must take the place of.
        case people(TextStyle, overProgress: Bool)
    }

    private let descriptor: FileDescriptor
    private let form: Form
    private let label: String
    private let start: ContinuousClock.Instant
    private let silent: Bool
    /// Who hears that the log cannot be written, once.
    private let fallback: FileDescriptor
    private let failure = Failure()

    private final class Failure: Sendable {
        let isTold = Atomic(false)
    }

    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?

    /// - Parameters:
    ///   - descriptor: where the lines go; open for as long as anything is logged.
    ///   - label: what is being done, a verb.
    ///   - verbosity: 0 nothing, 1 errors, 2 warnings too, 3 information too, 4 everything.
    ///   - start: the moment from which the lines count their time.
    ///   - fallback: where it is said that a file cannot be written any more.
    public init(
        descriptor: FileDescriptor, form: Form, label: String, verbosity: Int, start: ContinuousClock.Instant = .now,
        fallback: FileDescriptor = .standardError
    ) {
        self.descriptor = descriptor
        self.fallback = fallback
        self.form = form
        self.label = label
        self.start = start
        silent = verbosity < 1
        logLevel = Self.level(verbosity: verbosity)
    }

    static func level(verbosity: Int) -> Logger.Level {
        switch verbosity {
        case ...0: .critical
        case 1: .error
        case 2: .warning
        case 3: .info
        default: .trace
        }
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        guard !silent else { return }
        let all = event.metadata.map { metadata.merging($0) { $1 } } ?? metadata
        let line: String
        switch form {
        case .file:
            line = LogLine.text(
                event.message.description, level: event.level, label: label, metadata: all,
                elapsed: ContinuousClock.now - start)
        case .people(let style, let overProgress):
            line = (overProgress ? "\r\u{1b}[K" : "") + Self.forPeople(event, metadata: all, style: style)
        }
        do { _ = try descriptor.writeAll(line.utf8) } catch {
            // A log that cannot be written must not end the work.
            guard case .file = form, !failure.isTold.exchange(true, ordering: .relaxed) else { return }
            let reason = (error as? Errno)?.description ?? "\(error)"
            _ = try? fallback.writeAll(
                "warning: the log cannot be written, and lacks lines from here on: \(reason)\n".utf8)
        }
    }

    private static func forPeople(_ event: LogEvent, metadata: Logger.Metadata, style: TextStyle) -> String {
        var line: String
        switch event.level {
        case .critical, .error: line = style.alarming("error:") + " "
        case .warning: line = style.warning("warning:") + " "
        case .notice, .info: line = ""
        case .debug, .trace: line = "  "
        }
        line += event.message.description.printable
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { line += " \(key)=\("\(value)".printable)" }
        return line + "\n"
    }
}
