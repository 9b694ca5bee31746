internal import ArgumentParser

/// The options that a dump and a restore share.
struct EngineOptions: ParsableArguments {
    @Option(
        help: .init("Run this script at each stage; may be given several times.", valueName: "file"),
        completion: .file())
    var actionScript: [String] = []

    @Flag(help: "Print statistics at the end.")
    var displayStats = false
}

/// What a dump and a restore may do about things that stand in their way.
struct ObstacleOptions: ParsableArguments {
    @Flag(name: [.customShort("j"), .long], help: "The tree uses a terminal and a session from outside of it.")
    var shellJob = false

    @Option(
        help: .init(
            "A resource that lies outside of the tree, KEY or KEY:VALUE; may be given several times.",
            valueName: "key"))
    var external: [String] = []

    @Flag(name: [.customShort("l"), .long], help: "Allow file locks in the tree.")
    var fileLocks = false

    @Flag(help: "Give files that have lost a name, and have others, one more, which the restore removes.")
    var linkRemap = false

    @Flag(help: "Allow established TCP connections in the tree.")
    var tcpEstablished = false

    @Flag(help: "Have TCP connections come back closed.")
    var tcpClose = false

    @Flag(help: "Break off TCP connections that wait to be accepted.")
    var skipInFlight = false

    @Option(
        help: .init(
            "How the network is kept away from TCP connections meanwhile: nftables, iptables (the same) or skip.",
            valueName: "method"), completion: .list(["nftables", "iptables", "skip"]))
    var networkLock: String?

    @Flag(name: [.customShort("x"), .long], help: "Allow unix sockets whose peer lies outside of the tree.")
    var extUnixSk = false

    @Option(help: .init("How to treat cgroups; only ignore is built.", valueName: "mode"))
    var manageCgroups: String?
}

/// How far files of the host may differ, and what takes their place.
struct FileOptions: ParsableArguments {
    @Option(
        help: .init(
            "How far files may differ: exact, build-id, size, grown, ignore or ship; may be given several times.",
            valueName: "pattern=policy"))
    var file: [String] = []

    @Option(
        help: .init(
            "Compare all files by their size (filesize), or by build id where they have one (buildid).",
            valueName: "mode"), completion: .list(["filesize", "buildid"]))
    var fileValidation: String?
}

/// Where Apus keeps what outlives a run.
struct StateOptions: ParsableArguments {
    @Option(help: .init("Where copies of files are kept.", valueName: "dir"), completion: .directory)
    var stateDir = "/var/lib/apus"
}

/// What a restore takes beside, and the check of its images.
struct RestoreFileOptions: ParsableArguments {
    @Option(
        help: .init(
            "Bind sockets that have no connection to another address, ADDRESS or ADDRESS:PORT; may be given several times.",
            valueName: "old=new"))
    var tcpRebind: [String] = []

    @Flag(help: "Replace files that the tree writes to by the copies in the images.")
    var overwriteFiles = false

    @Option(
        help: .init(
            "A descriptor of the caller that stands in for a resource, fd[N]:KEY; may be given several times.",
            valueName: "fd[N]:key"))
    var inheritFd: [String] = []

    @OptionGroup var pids: PidOptions

    @Flag(help: "Let the monotonic clocks go on where they were, in a time namespace.")
    var continueClocks = false

    @Option(
        help: .init(
            "What the security module has the tasks run as, apparmor:NAME or selinux:LABEL, in place of what it was.",
            valueName: "type:name"))
    var lsmProfile: String?
}

/// Where the pids of a tree come from.
struct PidOptions: ParsableArguments {
    @Option(
        help: .init(
            "The pids have to be free where it comes to (exact), or are made free by a pid namespace (new-namespace).",
            valueName: "policy"), completion: .list(["exact", "new-namespace"]))
    var pidPolicy: String?
}

/// The same, for a dump alone.
struct DumpObstacleOptions: ParsableArguments {
    @Flag(help: "Use any path to a device file whose own path cannot be used.")
    var evasiveDevices = false

    @Option(help: .init("The most to keep of a file that has lost its name.", valueName: "size"))
    var ghostLimit = "1G"
}

/// What the processor has to have.
struct ProcessorOptions: ParsableArguments {
    @Option(
        help: .init(
            "With none, the processor may lack instructions that the one of the dump had.", valueName: "cap"),
        completion: .list(["all", "cpu", "fpu", "ins", "none"]))
    var cpuCap: String?
}
