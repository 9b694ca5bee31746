internal import ArgumentParser
internal import SystemPackage

/// The options of every verb. Those that the program has acted upon before the verb begins are declared here for the
/// help and the completion of shells.
struct CommonOptions: ParsableArguments {
    @Option(
        name: [.customShort("D"), .long], help: "Where the image files are.",
        completion: .directory)
    var imagesDir = RawPath(".")

    @Option(
        name: [.customShort("W"), .long],
        help: "Where logs, statistics and pid files go; the images directory if not given.", completion: .directory)
    var workDir: RawPath?

    @Option(
        name: [.customShort("o"), .long],
        help: "Write the log to this file, relative to the work directory, or else to the images directory.")
    var logFile: RawPath?

    @Option(name: [.customShort("v"), .long], help: "How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.")
    var verbosity = 2

    @Option(help: "Read options from this file as well.")
    var config: RawPath?

    @Flag(help: "Do not read the default configuration files.")
    var noDefaultConfig = false

    @Flag(help: "Print for programs, as JSON.")
    var json = false
}

/// The options that a dump and a restore share.
struct EngineOptions: ParsableArguments {
    @Flag(name: [.customShort("j"), .long], help: "The tree uses a terminal and a session from outside of it.")
    var shellJob = false

    @Option(help: "Run this script at each stage; may be given several times.")
    var actionScript: [RawPath] = []

    @Option(help: "A resource that lies outside of the tree, KEY or KEY:VALUE; may be given several times.")
    var external: [String] = []

    @Flag(help: "Use any path to a device file whose own path cannot be used.")
    var evasiveDevices = false

    @Flag(name: [.customShort("l"), .long], help: "Allow file locks in the tree.")
    var fileLocks = false

    @Flag(help: "Allow established TCP connections in the tree.")
    var tcpEstablished = false

    @Flag(name: [.customShort("x"), .long], help: "Allow unix sockets whose peer lies outside of the tree.")
    var extUnixSk = false

    @Option(help: "Write a zero byte to this descriptor and close it once ready.")
    var statusFd: Int32?

    @Option(help: "Write the pid of the restored root into this file, relative to the work directory.")
    var pidfile: RawPath?

    @Flag(help: "Print statistics at the end.")
    var displayStats = false
}
