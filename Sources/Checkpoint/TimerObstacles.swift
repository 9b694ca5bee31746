internal import Diagnostics
internal import Linux
internal import Objects

/// POSIX timers that count what somebody outside of the tree does.
enum TimerObstacles {
    static func find(_ process: SurveyedProcess, _ circumstances: Circumstances) -> [Problem] {
        process.timers.compactMap { timer in
            guard let target = CpuClock(timer.clock)?.target else { return nil }
            if circumstances.pids.contains(target) || process.threads.contains(target) { return nil }
            return Problem(
                .leadsOutside,
                "its POSIX timer \(timer.id) runs on the processor clock of \(target), which is not in the tree",
                object: process.object,
                remedy: "Name a process that includes \(target), or delete the timer before the dump")
        }
    }
}

/// A clock of the processor time of a process or thread, whose number names it (clock_getcpuclockid(3)): the pid
/// inverted, and three bits for the kind.
struct CpuClock {
    /// Whose time it is; 0 for that of who asks.
    private let pid: Int32

    /// nil for other clocks.
    init?(_ number: Int32) {
        guard number < 0 else { return nil }
        // The last of the eight kinds are clocks of devices (CLOCKFD).
        guard number & 7 != 3, number & 7 != 7 else { return nil }
        pid = ~(number >> 3)
    }

    /// nil where it is that of who asks.
    var target: Int32? { pid == 0 ? nil : pid }
}
