internal import Synchronization

/// How far a long operation has come, for somebody who looks at a terminal.
///
/// One line that is drawn over and over: the phase, what is done of what there is, and the share. Nothing appears
/// within the first second, nothing where nobody looks. Workers report as often as they like.
public final class Progress: Sendable {
    /// Takes a piece of text to the terminal.
    public typealias Output = @Sendable (String) -> Void
    /// What is counted.
    public enum Unit: Sendable { case items, bytes }

    private struct State {
        var nextDrawing: Duration = .seconds(1)
        var drawn = false
    }

    private let output: Output?
    private let start = ContinuousClock.now
    private let state = Mutex(State())

    /// A progress that nobody sees.
    public static let silent = Progress(output: nil)

    public init(output: Output?) { self.output = output }

    /// Reports the state of a phase.
    ///
    /// - Parameters:
    ///   - phase: what is being done, as `writing memory`.
    ///   - done: how much of it is done.
    ///   - total: how much there is, nil where nobody knows.
    public func update(_ phase: String, done: UInt64, of total: UInt64?, unit: Unit = .items) {
        guard let output else { return }
        let elapsed = ContinuousClock.now - start
        let line: String? = state.withLock { state in
            guard elapsed >= state.nextDrawing else { return nil }
            state.nextDrawing = elapsed + .milliseconds(100)
            state.drawn = true
            return Self.line(phase, done: done, of: total, unit: unit)
        }
        // The line is cleared to its end (EL), as the last one may have been longer.
        if let line { output("\r\(line)\u{1b}[K") }
    }

    /// Takes the line away, before anything else is printed.
    public func finish() {
        guard let output else { return }
        let drawn = state.withLock { state in
            defer { state.drawn = false }
            return state.drawn
        }
        if drawn { output("\r\u{1b}[K") }
    }

    static func line(_ phase: String, done: UInt64, of total: UInt64?, unit: Unit) -> String {
        guard let total, total > 0 else { return "\(phase): \(amount(done, unit))" }
        let share = min(100, done.multipliedFullWidth(by: 100).high > 0 ? 100 : done * 100 / total)
        return "\(phase): \(amount(done, unit)) of \(amount(total, unit)) (\(share) %)"
    }

    private static func amount(_ value: UInt64, _ unit: Unit) -> String {
        switch unit {
        case .items: return String(value)
        case .bytes:
            let names = ["B", "KiB", "MiB", "GiB", "TiB"]
            var shift = 0
            while shift + 1 < names.count, value >> (10 * UInt64(shift + 1)) >= 10 { shift += 1 }
            return "\(value >> (10 * UInt64(shift))) \(names[shift])"
        }
    }
}
