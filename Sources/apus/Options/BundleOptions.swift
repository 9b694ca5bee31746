internal import ArgumentParser

/// The bundle of a dump or a restore.
struct BundleOptions: ParsableArguments {
    @Option(
        help: .init(
            "The images as one file; - for the standard output or input. So does -o FILE.apus.", valueName: "file"),
        completion: .file(extensions: ["apus"]))
    var bundle: String?
}

/// How a bundle is made.
struct BundleMakingOptions: ParsableArguments {
    @Option(
        help: .init("How a bundle is compressed: none, lz4, zstd, or zstd:LEVEL from 1 to 19.", valueName: "how"),
        completion: .list(["none", "lz4", "zstd"]))
    var compress = "zstd"

    @Flag(help: "Replace a bundle that is there already, once the new one is whole.")
    var overwrite = false

    @Option(
        help: .init("Encrypt the bundle to this public key of age; may be given several times.", valueName: "recipient")
    )
    var encryptTo: [String] = []

    @Option(
        help: .init("Encrypt the bundle by the passphrase in the first line of this file.", valueName: "file"),
        completion: .file())
    var passphraseFile: String?
}

/// How a bundle is opened.
struct BundleReadingOptions: ParsableArguments {
    @Option(
        help: .init(
            "A file with the keys of age that open the bundle; may be given several times.", valueName: "file"),
        completion: .file())
    var identity: [String] = []

    @Option(
        help: .init(
            "A file with the passphrase by which the bundle is encrypted, as its first line.", valueName: "file"),
        completion: .file())
    var passphraseFile: String?
}
