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
            "How the network is kept away from TCP connections meanwhile: nftables or skip.", valueName: "method"),
        completion: .list(["nftables", "skip"]))
    var networkLock: String?

    @Flag(name: [.customShort("x"), .long], help: "Allow unix sockets whose peer lies outside of the tree.")
    var extUnixSk = false

    @Option(help: .init("How to treat cgroups; only ignore is built.", valueName: "mode"))
    var manageCgroups: String?
}

/// The same, for a dump alone.
struct DumpObstacleOptions: ParsableArguments {
    @Flag(help: "Use any path to a device file whose own path cannot be used.")
    var evasiveDevices = false

    @Option(help: .init("The most to keep of a file that has lost its name.", valueName: "size"))
    var ghostLimit = "1G"
}
