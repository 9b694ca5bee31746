internal import ArgumentParser

// The declarations in this directory and in the verbs are what help and shell completion show. The values of `dump`,
// `restore` and `check` are read from the invocation instead: the parser finds its way by reflection, which takes longer
// than the whole start of the program otherwise does, and a value from a configuration file would lose its place.

/// The options of every verb.
struct CommonOptions: ParsableArguments {
    @Option(
        name: [.customShort("D"), .long], help: .init("Where the image files are.", valueName: "dir"),
        completion: .directory)
    var imagesDir = "."

    @Option(
        name: [.customShort("W"), .long],
        help: .init(
            "Where logs, statistics and pid files go; the images directory if not given.", valueName: "dir"),
        completion: .directory)
    var workDir: String?

    @Option(
        name: [.customShort("o"), .long],
        help: .init(
            "Write the log to this file, relative to the work directory, or else to the images directory.",
            valueName: "file"),
        completion: .file())
    var logFile: String?

    @Option(
        name: [.customShort("v"), .long],
        help: .init("How much is logged: 0 nothing, 1 errors, 2 warnings, 3, 4 all.", valueName: "level"))
    var verbosity = 2

    @Option(help: .init("Read options from this file as well.", valueName: "file"), completion: .file())
    var config: String?

    @Flag(help: "Do not read the default configuration files.")
    var noDefaultConfig = false

    @Flag(help: "Print for programs, as JSON.")
    var json = false

    @Flag(name: [.customShort("V"), .long], help: "Show the version.")
    var version = false
}
