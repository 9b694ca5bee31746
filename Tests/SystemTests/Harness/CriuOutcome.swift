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
        "memory": .carried(but: ["zero in children: flags were"]),
        "sockets": .carried(but: ["TCP options", "UDP options"]),
        // Not examined yet.
        "tcp": .impossible,
        "rseq": .carried(but: ["worker "]),
        // CRIU does not know policies of memory.
        "numa": .carried(but: [
            "bound: policy 0", "child's memory: policy 0", "child: 1 failures", "interleaved: policy 0",
            "local: policy 0", "main: policy 0", "parted: policy 0", "preferred: policy 0", "shared: policy 0",
            "thread: policy 0",
        ]),
        // CRIU has pidfds since 4.1.
        "pidfds": .impossible,
        // Not examined.
        "nameless": .impossible,
        "packets": .impossible,
        "openfiles": .impossible,
        // The subject asks for what Linux 6.1 does not have.
        "settings": .impossible,
        "seccomp": .impossible,
        // Apus needs Linux 6.9 for it.
        "leaderless": .impossible,
    ]

    private static let restoredByCriu: [String: CriuOutcome] = [
        "timers": .carried(but: ["interval timer 1: 0 s left"]),
        "files": .carried(but: ["directory: flags 0x8000, not 0x18000"]),
        "events": .carried(but: [
            "eventfd: its counter", "dated timerfd:", "epoll: ", "the set that is shared", "child: ",
        ]),
        // It sets the owner that a lease without one has by itself, and has the kernel tell the holder again.
        "leases": .carried(but: [
            "broken-reading: told once more, of 7", "broken-writing: told once more, of 8", "ownerless: owner ",
            "ownerless: told of 6, not -1", "told of 0, which nobody has asked for",
        ]),
        "attributes": .carried(but: ["huge pages are no longer disabled", "new privileges are possible"]),
        // CRIU does not know what stands in the supplement.
        "mappings": .carried(but: [
            "child: 1 failures", "child: 2 failures", "locked on fault: flags were", "mlockall: on fault",
            "mlockall: the next mapping is not locked",
        ]),
        // It restores memory without protection keys.
        "pkeys": .carried(but: [
            "14 keys are free", "child: 5 failures", "child: code", "child: open memory", "closed memory can be read",
            "closed: key 0", "code can be read", "given back: key 0", "open, of the child: key 0", "open: key 0",
            "readable memory", "readable, of the child: key 0", "readable: key 0", "stack: key 0",
            "thread 0: open memory", "thread 1: closed memory",
        ]),
        // Its restore does not end.
        "daemons": .impossible,
        // It gives each its own memory, directory and mask; who waits for another by shared memory waits for ever.
        "sharedvm": .impossible,
        "sharing": .carried(but: [
            "child that shares both: 2 failures", "child that shares both: directory /",
            "child that shares both: mask 22", "child that shares the directories: 2 failures",
            "child that shares the directories: directory /", "child that shares the directories: mask 22",
            "all tables of the child", "directories",
        ]),
        "stops": .carried(but: ["child "]),
        "zombies": .carried(but: ["zombie ", "the orphan has lost its parent", "child of a zombie"]),
        "credentials": .refused("Unable to restore capabilities"),
        "unixsockets": .refused("Unsupported scm 2"),
        "peers": .refused("Unsupported scm 2"),
        // Not examined yet.
        "datagrams": .impossible,
        "segments": .refused("Can't find sysv shmem"),
        "signals": .refused("Unable to send siginfo"),
    ].merging(thirtyTwoBits) { first, _ in first }

    private static let dumpedByCriu: [String: CriuOutcome] = [
        "credentials": .carried(but: ["credentials of ", "service: ", "locked: ", "mixed: ", "strand "]),
        "events": .refused("Dump eventpoll"),
        // Its dump does not store the lock of a child through a descriptor that the child has from its parent.
        "locks": .carried(but: ["the child's lock: 0"]),
        "attributes": .carried(but: ["new privileges are possible"]),
        "mappings": .carried(but: [
            "child: 1 failures", "child: 2 failures", "locked on fault: flags were", "mlockall: on fault",
            "mlockall: the next mapping is not locked", "sealed late: the reader can be made a writer",
        ]),
        // Its dump of this subject does not end.
        "leases": .impossible,
        // It stores the lock of a table as that of the first process that has it, whoever took it.
        "lockwaits": .carried(but: ["the lock of a table that is shared:"]),
        // It reads pages through the process, which may not read these.
        "pkeys": .refused("Can't dump page with parasite"),
        "sharedvm": .refused("Can't make VM id"),
        "segments": .refused("doesn't live in IPC ns"),
        "sharing": .refused("Can't make FS id"),
        // CRIU ends its waits, or they are never answered, between its own dump and its own restore too.
        "waits": .impossible,
        "unixsockets": .refused("Control messages in queue"),
        "peers": .refused("Control messages in queue"),
        // Not examined yet.
        "datagrams": .impossible,
        "stops": .refused("unsupported stop signal"),
    ].merging(thirtyTwoBits) { first, _ in first }

    /// CRIU loses them to SIGKILL in the emulated machine, with its own images too.
    private static let thirtyTwoBits: [String: CriuOutcome] = Dictionary(
        uniqueKeysWithValues: Subject.compat.map {
            // The dump of so many waits takes longer than the tests wait in that machine.
            ($0.name, $0.name == "waits-32" ? .impossible : .refused("unexpected state: 9"))
        })
}
