import Testing

/// What becomes of a subject that one tool dumps and the other restores, with CRIU 3.17 on Linux 6.1. docs/compatibility.md
/// has the same as a table, with the reasons.
enum CriuOutcome {
    /// It finds everything as it was, but for what its complaints begin with: a `#` stands for any number.
    case carried(but: [String])
    /// One of them refuses it, CRIU as a rule, with this text in its log.
    case refused(String, by: Tool = .criu)
    /// CRIU does not come to an end: its dump or its restore is stopped after a while.
    case endless(Step)
    /// Nothing to be learned: the subject cannot be made on that kernel, or Apus cannot dump it there, for this reason.
    case impossible(String)

    enum Step: String { case dump, restore }

    /// From one tool to the other, or nil where nothing is known: between CRIU's own dump and its own restore that is so for
    /// what goes well with both.
    static func of(_ subject: Subject, _ direction: Direction) -> CriuOutcome? {
        switch (direction.dumper, direction.restorer) {
        case (.apus, .criu): restoredByCriu[subject.name] ?? everywhere[subject.name] ?? .carried(but: [])
        case (.criu, .apus): dumpedByCriu[subject.name] ?? everywhere[subject.name] ?? .carried(but: [])
        case (.criu, .criu): alone[subject.name] ?? everywhere[subject.name]
        case (.apus, .apus): nil
        }
    }

    /// One tool dumps, the other restores.
    struct Direction: CustomTestStringConvertible {
        let dumper: Tool
        let restorer: Tool
        var testDescription: String { "\(dumper) to \(restorer)" }

        static let both = [
            Direction(dumper: .apus, restorer: .criu), Direction(dumper: .criu, restorer: .apus),
        ]
        /// What CRIU loses or refuses between its own dump and its own restore is no matter of Apus' images.
        static let alone = Direction(dumper: .criu, restorer: .criu)
    }

    /// Whether a line of a subject is one of those that an outcome allows.
    static func allows(_ line: String, _ lost: [String]) -> Bool {
        lost.contains { begins(line, with: "FAIL \($0)") }
    }

    private static func begins(_ line: String, with pattern: String) -> Bool {
        var rest = Substring(line)
        for (index, part) in pattern.split(separator: "#", omittingEmptySubsequences: false).enumerated() {
            if index > 0 {
                guard rest.first?.isNumber ?? false else { return false }
                rest = rest.drop { $0.isNumber }
            }
            guard rest.hasPrefix(part) else { return false }
            rest = rest.dropFirst(part.count)
        }
        return true
    }

    // MARK: The table

    /// Of those that are adopted it makes children of another.
    private static let zombies = [
        "zombie #: code 1 status 127", "the orphan has lost its parent", "child of a zombie: no answer from pid #",
        "child of a zombie: -1 failures",
    ]
    /// CRIU does not know what stands in the supplement.
    private static let mappings = [
        "child: # failures", "locked on fault: flags were", "mlockall: on fault",
        "mlockall: the next mapping is not locked",
    ]

    /// What is the same whichever dumps and restores.
    private static let everywhere: [String: CriuOutcome] = [
        // It has no field for these.
        "tcp": .carried(but: [
            "TCP_USER_TIMEOUT 0", "TCP_SYNCNT, TCP_LINGER2", "TCP_NOTSENT_LOWAT", "TCP_CONGESTION cubic", "IP options",
            "IPV6_TCLASS 0",
        ]),
        // Neither what is queued nor these options are in its images.
        "datagrams": .carried(but: [
            "\"one\": received -1 bytes", "\"\": received -1 bytes", "\"three\": received -1 bytes", "large datagram",
            "\"by six\": received -1 bytes", "\"by four\": received -1 bytes", "told: ", "UDP-Lite", "options of IP",
            "options of UDP", "options of multicast", "group: no member", "group: mode 0, # sources",
            "group of IPv6: no member", "group of IPv6: mode 0, # sources", "lock of the filter",
            "options of the packet socket", "options of netlink",
        ]),
        // It refuses data on connections that nobody has accepted, and in images of others it does not look for them.
        "unaccepted": .impossible("not tried yet"),
        // Nor for these.
        "backlog": .impossible("not tried yet"),
        "corked": .impossible("not tried yet"),
        "sockets": .carried(but: ["TCP options", "UDP options"]),
        "fanotify": .impossible("not tried yet"),
        // CRIU does not know policies of memory.
        "numa": .carried(but: [
            "bound: policy 0", "child's memory: policy 0", "child: 1 failures", "interleaved: policy 0",
            "local: policy 0", "main: policy 0", "parted: policy 0", "preferred: policy 0", "shared: policy 0",
            "thread: policy 0",
        ]),
        // Of sets outside of an IPC namespace of the tree's own it stores nothing: they are there still, without what the tree
        // would undo.
        "sysv": .carried(but: [
            "semaphore # is #, not #", "semaphore # is # at the end of the child, not #",
        ]),

        // One of the filters that it restores forbids what the threads do next: to share a further one.
        "seccomp": .carried(but: ["weaver: no answer from pid #", "weaver: -1 failures"]),
    ].merging(thirtyTwoBits) { first, _ in first }

    private static let restoredByCriu: [String: CriuOutcome] = [
        "daemons": .endless(.restore),
        // It stores no parameters of SCHED_DEADLINE and its like.
        "settings": .refused("Inconsistent sched params received"),
        "timers": .carried(but: ["interval timer 1: 0 s left"]),
        "files": .carried(but: ["directory: flags 0x8000, not 0x18000"]),
        "openfiles": .carried(but: ["temporary: flags 0#, not 0#", "directory: flags 010000000, not 010200000"]),
        // It does not know timers of CLOCK_BOOTTIME_ALARM.
        "events": .refused("Unknown clock type 9"),
        "pidfds": .refused("Unknown file type 20"),
        "packets": .refused("Can't open fifo"),
        "posixipc": .refused("Can't open file dev/mqueue"),
        // It removes a directory that has no name before one in it.
        "nameless": .refused("Couldn't unlink remap"),
        "ptys": .impossible("not tried since Apus' images name no terminal of its own for /dev/tty"),
        // It sets the owner that a lease without one has by itself, and has the kernel tell the holder again.
        "leases": .carried(but: [
            "broken-reading: told once more, of 7", "broken-writing: told once more, of 8", "ownerless: owner ",
            "ownerless: told of 6, not -1", "told of 0, which nobody has asked for",
        ]),
        "attributes": .carried(but: ["huge pages are no longer disabled", "new privileges are possible"]),
        "mappings": .carried(but: mappings),
        // It restores memory without protection keys.
        "pkeys": .carried(but: [
            "14 keys are free", "child: 5 failures", "child: code", "child: open memory", "closed memory can be read",
            "closed: key 0", "code can be read", "given back: key 0", "open, of the child: key 0", "open: key 0",
            "readable memory", "readable, of the child: key 0", "readable: key 0", "stack: key 0",
            "thread 0: open memory", "thread 1: closed memory",
        ]),
        // It gives each its own memory; who waits for another by shared memory waits for ever.
        "sharedvm": .carried(but: [
            "memory of the ", "tables of the close one", "sisters", "plain does not answer", "close does not answer",
        ]),
        "sharing": .carried(but: [
            "child that shares both: 2 failures", "child that shares both: directory /",
            "child that shares both: mask 22", "child that shares the directories: 2 failures",
            "child that shares the directories: directory /", "child that shares the directories: mask 22",
            "all tables of the child", "directories",
        ]),
        // It begins none anew.
        "rseq": .carried(but: ["worker #: no section comes to its end", "worker #: # sections went on after a stop"]),
        "stops": .carried(but: ["child #: stopped by 19 instead of "]),
        "zombies": .carried(but: zombies),
        "credentials": .refused("Unable to restore capabilities"),
        "unixsockets": .refused("Unsupported scm 2"),
        "peers": .refused("Unsupported scm 2"),
        "segments": .refused("Can't find sysv shmem"),
        "signals": .refused("Unable to send siginfo"),
    ]

    private static let dumpedByCriu: [String: CriuOutcome] = [
        "settings": .refused("cannot set scheduling policy", by: .apus),
        "credentials": .carried(but: [
            "credentials of # were", "service: ambient capability", "service: # failures", "locked: ambient capability",
            "locked: # failures", "strand # was", "mixed: strand #", "mixed: # failures",
        ]),
        "events": .refused("Unknown clock type 9"),
        "pidfds": .refused("of that type [600]"),
        "packets": .refused("The packetized mode for pipes is not supported"),
        "posixipc": .refused("Can't lookup mount"),
        // What it keeps of a file without a name has a limit, --ghost-limit.
        "openfiles": .refused("increase limit"),
        // The session has a terminal, and nobody in it has that open as such.
        "ptys": .refused("ctty inheritance detected"),
        // Its dump does not store the lock of a child through a descriptor that the child has from its parent.
        "locks": .carried(but: ["the child's lock: 0"]),
        "memory": .carried(but: ["zero in children: flags were"]),
        "attributes": .carried(but: ["new privileges are possible"]),
        "mappings": .carried(but: mappings + ["sealed late: the reader can be made a writer"]),
        "leases": .endless(.dump),
        // It stores the lock of a table as that of the first process that has it, whoever took it.
        "lockwaits": .carried(but: ["the lock of a table that is shared:"]),
        // It reads pages through the process, which may not read these.
        "pkeys": .refused("Can't dump page with parasite"),
        "sharedvm": .refused("Can't make VM id"),
        "segments": .refused("doesn't live in IPC ns"),
        "sharing": .refused("Can't make FS id"),
        "rseq": .carried(but: ["worker #: # sections went on after a stop"]),
        // CRIU ends its waits, or they are never answered, between its own dump and its own restore too.
        "waits": .impossible("which waits end is another matter each time"),
        "unixsockets": .refused("Control messages in queue"),
        "peers": .refused("Control messages in queue"),
        "stops": .refused("unsupported stop signal"),
    ]

    private static let alone: [String: CriuOutcome] = [
        "daemons": .endless(.restore),
        "settings": .refused("Inconsistent sched params received"),
        "zombies": .carried(but: zombies),
        "rseq": .carried(but: ["worker #: # sections went on after a stop"]),
        "stops": .refused("unsupported stop signal"),
        "events": .refused("Unknown clock type 9"),
        "ptys": .refused("ctty inheritance detected"),
        "nameless": .refused("Couldn't unlink remap"),
        "timers": .carried(but: ["interval timer 1: 0 s left"]),
        "files": .carried(but: ["directory: flags 0x8000, not 0x18000"]),
        "memory": .carried(but: ["zero in children: flags were"]),
        "attributes": .carried(but: ["huge pages are no longer disabled", "new privileges are possible"]),
        "mappings": .carried(but: mappings + ["sealed late: the reader can be made a writer"]),
        "signals": .refused("3 exited, status=1"),
        "credentials": .refused("Can't stop all tasks on rt_sigreturn"),
        "packets": .refused("The packetized mode for pipes is not supported"),
        "posixipc": .refused("Can't lookup mount"),
        "openfiles": .refused("increase limit"),
        "pidfds": .refused("of that type [600]"),
        "leases": .endless(.dump),
        "sharedvm": .refused("Can't make VM id"),
        "sharing": .refused("Can't make FS id"),
        "pkeys": .refused("Can't dump page with parasite"),
        "segments": .refused("doesn't live in IPC ns"),
        "unixsockets": .refused("Control messages in queue"),
        "peers": .refused("Control messages in queue"),
    ]

    /// CRIU loses them to SIGKILL in the emulated machine, with its own images too.
    private static let thirtyTwoBits: [String: CriuOutcome] = Dictionary(
        uniqueKeysWithValues: Subject.compat.map {
            // The dump of so many waits takes longer than the tests wait in that machine.
            (
                $0.name,
                $0.name == "waits-32" ? .impossible("CRIU's dump takes too long") : .refused("unexpected state: 9")
            )
        })
}
