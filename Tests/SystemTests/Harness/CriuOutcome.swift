/// What becomes of a subject that one tool dumps and the other restores, with CRIU 3.17 on Linux 6.1. docs/compatibility.md
/// has the same as a table, with the reasons.
enum CriuOutcome {
    /// It finds everything as it was, but for what its complaints begin with.
    case carried(but: [String])
    /// CRIU refuses it, with this text in its log.
    case refused(String)
    /// Neither tool can do it in this machine, or the subject cannot be made there.
    case impossible

    static func of(_ subject: Subject, dumpedBy dumper: Tool) -> CriuOutcome {
        let table =
            switch dumper {
            case .apus: restoredByCriu
            case .criu: dumpedByCriu
            }
        return table[subject.name] ?? both[subject.name] ?? .carried(but: [])
    }

    /// What is the same whichever dumps.
    private static let both: [String: CriuOutcome] = [
        "attributes": .carried(but: [
            "huge pages are no longer disabled", "new privileges are possible", "coredump_filter",
        ]),
        "memory": .carried(but: ["zero in children: flags were"]),
        "sockets": .carried(but: ["TCP options", "UDP options"]),
        // Not examined yet.
        "tcp": .impossible,
        "rseq": .carried(but: ["worker "]),
        // The subject asks for what Linux 6.1 does not have.
        "settings": .impossible,
        "seccomp": .impossible,
        // The emulated processor has protection keys, which Apus refuses.
        "mappings": .impossible,
        // Apus needs Linux 6.9 for it.
        "leaderless": .impossible,
    ]

    private static let restoredByCriu: [String: CriuOutcome] = [
        "timers": .carried(but: ["interval timer 1: 0 s left"]),
        "files": .carried(but: ["directory: flags 0x8000, not 0x18000"]),
        "events": .carried(but: [
            "eventfd: its counter", "dated timerfd:", "epoll: ", "the set that is shared", "child: ",
        ]),
        "stops": .carried(but: ["child "]),
        "zombies": .carried(but: ["zombie ", "the orphan has lost its parent", "child of a zombie"]),
        "credentials": .refused("Unable to restore capabilities"),
        "unixsockets": .refused("Unsupported scm 2"),
        "segments": .refused("Can't find sysv shmem"),
        "signals": .refused("Unable to send siginfo"),
    ].merging(thirtyTwoBits) { first, _ in first }

    private static let dumpedByCriu: [String: CriuOutcome] = [
        "credentials": .carried(but: ["credentials of ", "service: ", "locked: ", "mixed: ", "strand "]),
        "events": .refused("Dump eventpoll"),
        // Not explained yet: from Apus to CRIU it is carried.
        "locks": .carried(but: ["the child's lock"]),
        "segments": .refused("doesn't live in IPC ns"),
        "sharing": .refused("Can't make FS id"),
        // CRIU ends its waits, or they are never answered, between its own dump and its own restore too.
        "waits": .impossible,
        "unixsockets": .refused("Control messages in queue"),
        "stops": .refused("unsupported stop signal"),
    ].merging(thirtyTwoBits) { first, _ in first }

    /// CRIU loses them to SIGKILL in the emulated machine, with its own images too.
    private static let thirtyTwoBits: [String: CriuOutcome] = Dictionary(
        uniqueKeysWithValues: Subject.compat.map {
            // The dump of so many waits takes longer than the tests wait in that machine.
            ($0.name, $0.name == "waits-32" ? .impossible : .refused("unexpected state: 9"))
        })
}
