internal import CLinux
public import Images
public import Linux
public import Tracing

/// The timers of a process: the three of setitimer(2), and those of timer_create(2).
public enum Timers {
    /// The questions of one batch.
    public struct Questions: Sendable {
        let intervals: [Batch.Buffer]
        let posix: [(timer: PosixTimer, value: Batch.Buffer, overrun: Int)]

        /// - Parameter timers: as `/proc/PID/timers` lists them; their times are not shown there.
        public init(_ timers: [PosixTimer], _ batch: inout Batch) {
            var intervals: [Batch.Buffer] = []
            for which in 0...2 {
                let buffer = batch.space(32)
                batch.call(Int(SYS_getitimer), .int(which), .address(buffer), for: "read its interval timer \(which)")
                intervals.append(buffer)
            }
            self.intervals = intervals
            var posix: [(timer: PosixTimer, value: Batch.Buffer, overrun: Int)] = []
            for timer in timers {
                let value = batch.space(32)
                batch.call(
                    Int(SYS_timer_gettime), .signed(timer.id), .address(value), for: "read its POSIX timer \(timer.id)")
                let overrun = batch.call(
                    Int(SYS_timer_getoverrun), .signed(timer.id),
                    for: "read the overruns of its POSIX timer \(timer.id)")
                posix.append((timer, value, overrun))
            }
            self.posix = posix
        }

        public func answer(_ result: BatchResult) -> TaskTimersEntry {
            var entry = TaskTimersEntry()
            entry.real = Timers.entry(result, intervals[0])
            entry.virt = Timers.entry(result, intervals[1])
            entry.prof = Timers.entry(result, intervals[2])
            entry.posix = posix.map { Timers.entry($0.timer, result, $0.value, overrun: result[$0.overrun]) }
            return entry
        }
    }

    /// struct itimerval: interval and value, seconds and microseconds.
    private static func entry(_ result: BatchResult, _ buffer: Batch.Buffer) -> ItimerEntry {
        var entry = ItimerEntry()
        entry.isec = result.integer(UInt64.self, in: buffer)
        entry.iusec = result.integer(UInt64.self, in: buffer, at: 8)
        entry.vsec = result.integer(UInt64.self, in: buffer, at: 16)
        entry.vusec = result.integer(UInt64.self, in: buffer, at: 24)
        return entry
    }

    /// struct itimerspec: interval and value, seconds and nanoseconds.
    private static func entry(
        _ timer: PosixTimer, _ result: BatchResult, _ buffer: Batch.Buffer, overrun: Int64
    ) -> PosixTimerEntry {
        var entry = PosixTimerEntry()
        entry.itID = UInt32(bitPattern: timer.id)
        entry.clockID = UInt32(bitPattern: timer.clock)
        entry.siSigno = UInt32(bitPattern: timer.signal)
        entry.itSigevNotify = notification(timer)
        entry.sivalPtr = timer.value
        entry.overrun = UInt32(clamping: overrun)
        entry.isec = result.integer(UInt64.self, in: buffer)
        entry.insec = result.integer(UInt64.self, in: buffer, at: 8)
        entry.vsec = result.integer(UInt64.self, in: buffer, at: 16)
        entry.vnsec = result.integer(UInt64.self, in: buffer, at: 24)
        if timer.targetsThread { entry.notifyThreadID = timer.target }
        return entry
    }

    /// SIGEV_* of sigevent(3type): signal 0, none 1, thread 2, with 4 added where a thread is the target.
    static func notification(_ timer: PosixTimer) -> UInt32 {
        let kind: UInt32 =
            switch timer.notification {
            case "none": 1
            case "thread": 2
            default: 0
            }
        return timer.targetsThread ? kind | 4 : kind
    }
}
