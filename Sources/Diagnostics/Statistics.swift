/// What a dump or a restore cost. The engine fills it; it is written to `stats-dump` and `stats-restore`, printed by
/// `--display-stats` and by `--json`.
public struct Statistics: Sendable, Equatable {
    /// How many times a tracee was resumed and waited for: what a dump or a restore of small processes costs most.
    public var roundTrips: UInt64 = 0
    /// The addresses that TCP connections of a dump lead from: a host that restores them has to have these.
    public var addresses: [String] = []
    /// What is known of a dump; nil in a restore.
    public var dump: Dump?
    /// What is known of a restore; nil in a dump.
    public var restore: Restore?

    public init() {}

    /// The counters of a dump, as `dump_stats_entry` holds them. Times are in microseconds.
    public struct Dump: Sendable, Equatable {
        /// From the first seizing to the whole tree being frozen.
        public var freezingTime: UInt32 = 0
        /// How long the tree stood still.
        public var frozenTime: UInt32 = 0
        /// Taking the memory out of the processes.
        public var memdumpTime: UInt32 = 0
        /// Writing the memory to the images.
        public var memwriteTime: UInt32 = 0
        public var pagesScanned: UInt64 = 0
        public var pagesSkippedParent: UInt64 = 0
        public var pagesWritten: UInt64 = 0
        public var pagesLazy: UInt64 = 0
        public init() {}
    }

    /// The counters of a restore, as `restore_stats_entry` holds them. Times are in microseconds.
    public struct Restore: Sendable, Equatable {
        public var pagesCompared: UInt64 = 0
        public var pagesSkippedCow: UInt64 = 0
        public var pagesRestored: UInt64 = 0
        /// Making the processes.
        public var forkingTime: UInt32 = 0
        /// The whole restore, up to the release.
        public var restoreTime: UInt32 = 0
        public init() {}
    }

    /// Every value with its name (that of the field in the image), the unit in words for people.
    var values: [(name: String, label: String, unit: String, value: UInt64)] {
        var list: [(String, String, String, UInt64)] = []
        if let dump {
            list += [
                ("freezing_time", "Freezing time", "us", UInt64(dump.freezingTime)),
                ("frozen_time", "Frozen time", "us", UInt64(dump.frozenTime)),
                ("memdump_time", "Memory dump time", "us", UInt64(dump.memdumpTime)),
                ("memwrite_time", "Memory write time", "us", UInt64(dump.memwriteTime)),
                ("pages_scanned", "Memory pages scanned", "", dump.pagesScanned),
                ("pages_skipped_parent", "Memory pages skipped from parent", "", dump.pagesSkippedParent),
                ("pages_written", "Memory pages written", "", dump.pagesWritten),
                ("pages_lazy", "Lazy memory pages", "", dump.pagesLazy),
            ]
        }
        if let restore {
            list += [
                ("pages_compared", "Pages compared", "", restore.pagesCompared),
                ("pages_skipped_cow", "Pages skipped COW", "", restore.pagesSkippedCow),
                ("pages_restored", "Pages restored", "", restore.pagesRestored),
                ("restore_time", "Restore time", "us", UInt64(restore.restoreTime)),
                ("forking_time", "Forking time", "us", UInt64(restore.forkingTime)),
            ]
        }
        list.append(("round_trips", "Round trips into the processes", "", roundTrips))
        return list.map { (name: $0.0, label: $0.1, unit: $0.2, value: $0.3) }
    }

    /// What `--display-stats` prints, one value a line, with a final newline.
    public var displayed: String {
        var text = "Displaying \(dump != nil ? "dump" : "restore") stats:\n"
        for item in values { text += "\(item.label): \(item.value)\(item.unit.isEmpty ? "" : " " + item.unit)\n" }
        if !addresses.isEmpty {
            text += "Addresses that the TCP connections need at the restore: \(addresses.joined(separator: ", "))\n"
        }
        return text
    }

    /// The same for programs: names as in the images, times in microseconds.
    public var json: JSON {
        var members = values.map { JSON.Member($0.name, .unsigned($0.value)) }
        if !addresses.isEmpty { members.append(JSON.Member("tcp_addresses", .array(addresses.map { .string($0) }))) }
        return .object(members)
    }
}
