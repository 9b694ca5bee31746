public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A timer that is read from: timerfd_create(2).
///
/// What is stored is the time that is left, since clocks differ from host to host and from boot to boot. Only the date of an
/// absolute timer on the clock of the calendar means the same everywhere: it is kept beside the images.
public enum Timerfd: DescriptionKind {
    public static let name = "timerfd"

    /// TFD_TIMER_ABSTIME.
    static let absolute: UInt32 = 1
    /// CLOCK_REALTIME and CLOCK_REALTIME_ALARM.
    static let calendarClocks: Set<UInt32> = [0, 8]

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.linkBegins(with: "anon_inode:[timerfd]") }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? { nil }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let own = try descriptions.open(seen)
        let left: Files.TimerSetting
        do throws(Errno) { left = try Files.timer(own.raw) } catch {
            throw descriptions.unreadable(seen, error, "timerfd_gettime")
        }
        let now = SystemClock.realTime.now
        // The question above has brought the count up to date.
        let seen = try again(seen, descriptions)
        guard let clock: UInt32 = seen.number("clockid"), let ticks: UInt64 = seen.number("ticks"),
            let flags: UInt32 = seen.number("settime flags", radix: 8)
        else { throw descriptions.missing("clockid, ticks, settime flags", of: seen) }
        var entry = TimerfdEntry()
        entry.id = descriptions.nextID()
        entry.flags = seen.descriptionFlags
        entry.fown = try descriptions.owner(of: seen, through: own.raw)
        entry.clockid = clock
        entry.ticks = ticks
        entry.settimeFlags = flags
        (entry.vsec, entry.vnsec) = left.value.quotientAndRemainder(dividingBy: 1_000_000_000)
        (entry.isec, entry.insec) = left.interval.quotientAndRemainder(dividingBy: 1_000_000_000)
        if flags & absolute != 0, left.value > 0, calendarClocks.contains(clock) {
            descriptions.supplement[.timerfd, entry.id] = .object([.init("deadline", .number(now &+ left.value))])
        }
        return descriptions.record(.timerfd, entry.id) { $0.tfd = entry }
    }

    /// The descriptor as it is shown now.
    private static func again(
        _ seen: SeenDescriptor, _ descriptions: Descriptions
    ) throws(Problem) -> SeenDescriptor {
        do throws(ProcfsError) {
            return try SeenDescriptor(seen.number, of: seen.pid, process: seen.process)
        } catch {
            throw descriptions.unreadable(seen, error.errno ?? .ioError, "read of \(error.file)")
        }
    }
}
