public import SystemPackage

/// What `/proc/PID/task/TID/sched` tells of when a thread last ran. Kernels without CONFIG_SCHED_DEBUG have no such file
/// (kernel/sched/debug.c, `proc_sched_show_task`).
public struct SchedulerRecord: Sendable, Equatable {
    /// When the thread last began or ceased to run, in nanoseconds of the clock of its processor (`se.exec_start`). That clock
    /// leaves out the time that interrupts and a hypervisor have taken, so each processor has its own.
    public var lastRun: UInt64
    /// How often it has gone to sleep.
    public var voluntarySwitches: UInt64

    /// Parses the text.
    ///
    /// - Parameter file: named in errors.
    public init(parsing text: [UInt8], file: FilePath = "sched") throws(ProcfsError) {
        var lastRun: UInt64?
        var switches: UInt64?
        // The name of the thread, with which it begins, may look like anything, but is too short to look like this.
        var cursor = TextCursor(text, file: file)
        while lastRun == nil || switches == nil, var line = cursor.nextLine() {
            if line.take(text: "se.exec_start ") {
                lastRun = try? Self.milliseconds(&line)
            } else if line.take(text: "nr_voluntary_switches ") {
                switches = try? Self.value(&line)
            }
        }
        guard let lastRun, let switches else {
            throw ProcfsError(file: file, reason: .malformed("lines se.exec_start and nr_voluntary_switches"))
        }
        self.lastRun = lastRun
        voluntarySwitches = switches
    }

    private static func value(_ line: inout TextCursor) throws(ProcfsError) -> UInt64 {
        line.skipBlanks()
        try line.expect(":")
        line.skipBlanks()
        return try line.number("a number")
    }

    /// Milliseconds with six places, as nanoseconds.
    private static func milliseconds(_ line: inout TextCursor) throws(ProcfsError) -> UInt64 {
        let whole = try value(&line)
        try line.expect(".")
        let places = line.rest.count
        let fraction: UInt64 = try line.number("the places of a millisecond")
        let (nanoseconds, isTooMuch) = whole.multipliedReportingOverflow(by: 1_000_000)
        guard places == 6, !isTooMuch, fraction < 1_000_000 else {
            throw line.malformed("milliseconds with six places")
        }
        return nanoseconds + fraction
    }
}

extension ProcessDirectory {
    public func schedulerRecord() throws(ProcfsError) -> SchedulerRecord {
        try SchedulerRecord(parsing: try contents(of: "sched"), file: path.appending("sched"))
    }
}
