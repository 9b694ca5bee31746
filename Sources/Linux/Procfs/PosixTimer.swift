public import SystemPackage

/// A POSIX timer of a process, as `/proc/PID/timers` shows it (proc_pid_timers(5)).
public struct PosixTimer: Sendable, Equatable {
    public var id: Int32
    public var signal: Int32
    /// sigev_value: the number or the pointer that the signal carries.
    public var value: UInt64
    /// How the expiry is told: `signal`, `none`, `thread`.
    public var notification: String
    /// Whether `target` is a thread.
    public var targetsThread: Bool
    /// The process or thread that is told.
    public var target: Int32
    /// CLOCK_*.
    public var clock: Int32

    /// Parses the text.
    ///
    /// - Parameter file: named in errors.
    public static func parse(_ text: [UInt8], file: FilePath = "timers") throws(ProcfsError) -> [PosixTimer] {
        var timers: [PosixTimer] = []
        var lines = TextCursor(text, file: file).lines()[...]
        while var line = lines.popFirst() {
            guard line.take(text: "ID:") else { throw line.malformed("a line ID") }
            let id: Int32 = try line.number("the timer's id")
            // The four lines always stand together, in this order.
            let signal = try lines.timerLine("signal:", after: line)
            let notify = try lines.timerLine("notify:", after: line)
            var clock = try lines.timerLine("ClockID:", after: line)
            timers.append(try PosixTimer(id: id, signal: signal, notify: notify, clock: clock.number("the clock")))
        }
        return timers
    }

    private init(id: Int32, signal: TextCursor, notify: TextCursor, clock: Int32) throws(ProcfsError) {
        var (signal, notify) = (signal, notify)
        self.id = id
        self.clock = clock
        self.signal = try signal.number("the signal")
        try signal.expect("/")
        // A null pointer is written as (null) by older kernels.
        _ = signal.take(text: "0x")
        value = signal.take(text: "(null)") ? 0 : try signal.number("the value", radix: 16)
        notify.skipBlanks()
        guard let kind = notify.take(until: "/") else { throw notify.malformed("'/'") }
        notification = String(decoding: kind, as: UTF8.self)
        targetsThread = notify.take(text: "tid")
        if !targetsThread && !notify.take(text: "pid") { throw notify.malformed("tid or pid") }
        try notify.expect(".")
        target = try notify.number("the target's id")
    }
}

extension ArraySlice<TextCursor> {
    fileprivate mutating func timerLine(
        _ key: StaticString, after last: TextCursor
    ) throws(ProcfsError) -> TextCursor {
        guard var line = popFirst() else { throw last.malformed("a line \(key) next") }
        guard line.take(text: key) else { throw line.malformed("a line \(key)") }
        return line
    }
}
