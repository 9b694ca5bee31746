public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A timer that is read from, with what is left of its time.
public struct ReadTimer: Resource {
    let entry: TimerfdEntry
    /// When an absolute timer goes off, in nanoseconds of its clock, where it is known.
    let deadline: UInt64?

    public init(_ entry: TimerfdEntry, _ supplement: Supplement) {
        self.entry = entry
        deadline = supplement[.timerfd, entry.id]?["deadline"]?.bits
    }

    private var clock: SystemClock { SystemClock(id: Int32(truncatingIfNeeded: entry.clockid)) }

    /// The clock that an alarm clock follows: the time itself cannot be asked of an alarm clock on every host.
    private var shownClock: SystemClock {
        switch clock.id {
        case 8: .realTime
        case 9: .bootTime
        case _: clock
        }
    }

    public var extraDescriptors: Int { 0 }
    public var description: String {
        "timerfd of clock \(entry.clockid)"
            + (left.value > 0 ? ", \(left.value / 1_000_000) ms left" : ", not running")
            + (entry.ticks > 0 ? ", expired \(entry.ticks) times" : "")
    }

    /// What is left, as it was at the dump.
    private var left: Files.TimerSetting {
        var setting = Files.TimerSetting(
            interval: Self.nanoseconds(entry.isec, entry.insec), value: Self.nanoseconds(entry.vsec, entry.vnsec))
        // Others record an interval timer that has gone off, and waits to be read, without what is left of the next
        // interval: at most one of it.
        if setting.value == 0, setting.interval > 0, entry.ticks > 0 { setting.value = setting.interval }
        return setting
    }

    private static func nanoseconds(_ seconds: UInt64, _ nanoseconds: UInt64) -> UInt64 {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        // 292 years: what the kernel's own clocks hold.
        return overflow ? UInt64(Int64.max) : min(product &+ nanoseconds, UInt64(Int64.max))
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        do throws(Errno) {
            _ = try Files.timer(on: clock.id)
            return []
        } catch {
            return [failure(error)]
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let descriptor = try Files.timer(on: clock.id)
            try set(descriptor.raw)
            if entry.ticks > 0 { try Files.setExpirations(descriptor.raw, entry.ticks) }
            try setFlags(entry.flags, of: descriptor.raw)
            return descriptor
        } catch {
            throw failure(error)
        }
    }

    private func set(_ descriptor: Int32) throws(Errno) {
        var setting = left
        if entry.settimeFlags & Timerfd.absolute != 0, setting.value > 0 {
            setting.value = deadline ?? min(shownClock.now &+ setting.value, UInt64(Int64.max))
        }
        // An interval without a time is kept by the kernel, too.
        if setting.value > 0 || setting.interval > 0 {
            try Files.setTimer(descriptor, setting, flags: entry.settimeFlags & 3)
        }
    }

    private func failure(_ error: Errno) -> Problem {
        Problem(
            .fileUnopenable, "a timerfd of clock \(entry.clockid) cannot be made",
            cause: .init(error, attempted: "timerfd_create, timerfd_settime"),
            remedy: error == .notPermitted
                ? "Run Apus with CAP_WAKE_ALARM: the clock wakes a sleeping host"
                : "Restore it on a kernel that has this clock, with CONFIG_CHECKPOINT_RESTORE")
    }
}
