internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// The clocks of a tree at its dump, and what has become of time since.
///
/// What is stored of timers and sleeps is the time that was left, so none of them depends on what a clock shows. A program that
/// has noted a time of CLOCK_MONOTONIC itself depends on it: the clock must not jump, and above all not go back, as it
/// does where the host has been up for a shorter time. A time namespace (time_namespaces(7)) lets it go on.
struct TreeClock {
    /// In nanoseconds.
    private let monotonic, bootTime: UInt64
    private let realTime: UInt64?
    /// The dump was made in the boot that lasts.
    private let isSameBoot: Bool
    /// The tree was in a time namespace of its own.
    private let hadOwnNamespace: Bool

    /// nil where the images do not tell.
    init?(_ images: CheckpointImages) {
        let all = images.timeNamespaces
        // Of a tree that has its own there may be that of the host beside it.
        guard let clocks = images.root?.ids.flatMap({ all[$0.timeNsID] }) ?? all.min(by: { $0.key < $1.key })?.value,
            let monotonic = Self.nanoseconds(clocks.monotonic), let bootTime = Self.nanoseconds(clocks.boottime)
        else { return nil }
        (self.monotonic, self.bootTime) = (monotonic, bootTime)
        realTime = images.supplement[.clock, "realtime"]?.bits
        isSameBoot = images.supplement[.clock, "boot"].map { $0.string == HostBoot.id } ?? false
        let (own, host) = (images.root?.ids, images.inventory.rootIds)
        hadOwnNamespace = own.map { $0.hasTimeNsID && host.hasTimeNsID && $0.timeNsID != host.timeNsID } ?? false
    }

    private static func nanoseconds(_ time: Timespec) -> UInt64? {
        guard time.tvSec < 1 << 33, time.tvNsec < 1_000_000_000 else { return nil }
        return time.tvSec * 1_000_000_000 + time.tvNsec
    }

    /// The clocks to go on with: asked for, or because the tree had its own already.
    func continued(_ isAskedFor: Bool) -> RestorePlan.Clocks? {
        guard isAskedFor || hadOwnNamespace else { return nil }
        return .init(monotonic: monotonic, bootTime: bootTime)
    }

    /// What to tell of the time that has passed.
    ///
    /// - Parameter isContinued: the monotonic clocks go on where they were.
    func report(isContinued: Bool) -> (notice: String?, warning: String?) {
        var notice: String?
        if let realTime {
            let now = SystemClock.realTime.now
            notice =
                now >= realTime
                ? "\(Self.text(now - realTime)) have passed since the dump; for the program, the time of day jumps by that"
                : "The time of day is \(Self.text(realTime - now)) before that of the dump: for the program it goes back"
            if isContinued { notice? += ". Its monotonic clocks go on where they were" }
        }
        if isContinued || isSameBoot { return (notice, nil) }
        let now = SystemClock.monotonic.now
        guard now < monotonic else { return (notice, nil) }
        let warning =
            "The monotonic clock of this host is \(Self.text(monotonic - now)) behind that of the dump: for the program it goes"
            + " back. Restore with --continue-clocks if it minds"
        return (notice, warning)
    }

    private static func text(_ nanoseconds: UInt64) -> String {
        let tenths = nanoseconds / 100_000_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}

extension RestorePlan.Clocks {
    /// What has to be added to the clocks that Apus sees now, so that they show what they showed at the dump.
    private func offsets() -> ClockOffsets {
        let own = try? ClockOffsets(of: "/proc/self")
        func offset(_ then: UInt64, _ clock: SystemClock, _ mine: Int64?) -> Int64 {
            Int64(clamping: then) &- Int64(clamping: clock.now) &+ (mine ?? 0)
        }
        return ClockOffsets(
            monotonic: offset(monotonic, .monotonic, own?.monotonic),
            bootTime: offset(bootTime, .bootTime, own?.bootTime))
    }

    /// Has a process made that sees the clocks go on.
    func run<R>(_ make: () throws(Errno) -> R) throws(Problem) -> Result<R, Errno> {
        do throws(Errno) {
            let clocks = try ChildClocks(offsets())
            let made = Result { () throws(Errno) in try make() }
            // Children of Apus that come later, its scripts, would have the tree's clocks: nothing to fail for.
            try? clocks.end()
            return made
        } catch {
            throw Problem(
                .clocksRefused, "the clocks cannot go on where they were: the kernel gives no time namespace",
                cause: .init(error, attempted: "unshare(CLONE_NEWTIME), write to timens_offsets"),
                remedy:
                    "Run Apus as root with CAP_SYS_ADMIN and CAP_SYS_TIME on Linux 5.6 or later with CONFIG_TIME_NS, or"
                    + " restore without --continue-clocks")
        }
    }
}

extension Problem.Code {
    static let clocksRefused: Self = "clocks-refused"
}
