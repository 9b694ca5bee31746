internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// The clocks as a tree sees them: those of the host, or of a time namespace that the whole tree is in.
struct TreeClocks {
    /// The namespace, where it is not that of Apus.
    let namespace: NamespaceLink?
    /// What its clocks are ahead of those that Apus sees.
    private let offsets: ClockOffsets

    /// Looks at the first process of a tree.
    init(ofTreeFrom root: Int32) {
        let (own, theirs) = (ProcessDirectory(path: "/proc/self"), ProcessDirectory(root))
        let (here, there) = (try? own.namespaces()["time"], try? theirs.namespaces()["time"])
        guard let there, let here, here != there, let mine = try? ClockOffsets(of: own.path),
            let others = try? ClockOffsets(of: theirs.path)
        else {
            namespace = nil
            offsets = ClockOffsets(monotonic: 0, bootTime: 0)
            return
        }
        namespace = there
        offsets = ClockOffsets(
            monotonic: others.monotonic &- mine.monotonic, bootTime: others.bootTime &- mine.bootTime)
    }

    /// The names of namespaces in which a process differs from Apus and may: it is in the tree's own, and so will its
    /// children be.
    func permitted(_ theirs: [String: NamespaceLink]) -> Set<String> {
        guard let namespace, theirs["time"] == namespace, theirs["time_for_children"] == namespace else { return [] }
        return ["time", "time_for_children"]
    }

    /// The number of the tree's time namespace in the images: another than that of Apus, where it has one of its own.
    func number(own: UInt32) -> UInt32 { namespace == nil ? own : own + 100 }

    /// That number; nil where it has none of its own.
    var ownNumber: UInt32? { namespace == nil ? nil : number(own: TaskIdentities.own.timeNsID) }

    /// Records what the clocks show now.
    func record(in supplement: inout Supplement) -> TimensEntry {
        let monotonic = Int64(SystemClock.monotonic.now) &+ offsets.monotonic
        let bootTime = Int64(SystemClock.bootTime.now) &+ offsets.bootTime
        supplement[.clock, "realtime"] = .number(SystemClock.realTime.now)
        supplement[.clock, "monotonic"] = .number(monotonic)
        supplement[.clock, "boottime"] = .number(bootTime)
        if let boot = HostBoot.id { supplement[.clock, "boot"] = .string(boot) }
        var entry = TimensEntry()
        entry.monotonic = Self.time(monotonic)
        entry.boottime = Self.time(bootTime)
        return entry
    }

    private static func time(_ nanoseconds: Int64) -> Timespec {
        var time = Timespec()
        let value = UInt64(max(0, nanoseconds))
        (time.tvSec, time.tvNsec) = value.quotientAndRemainder(dividingBy: 1_000_000_000)
        return time
    }
}
