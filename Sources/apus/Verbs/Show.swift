internal import ArgumentParser
internal import Bundles
internal import Compatibility
internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// `apus show`: what is in an image directory, or in one image file.
struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Say what is in an image directory, or decode one image file.",
        discussion: """
            A directory is shown as people want to know it: the process tree, and of each process its memory and its
            open files. A single file is decoded to JSON, field by field, in the form of crit.
              apus show DIR
              apus show DIR/core-1.img
              apus show job.apus
              apus show job.apus/core-1.img
            """)

    @Argument(help: "The image directory or image file.", completion: .file())
    var path: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var bundleReading: BundleReadingOptions

    func run() throws {
        let given = FilePath(bytes: RawArgument.bytes(path ?? common.imagesDir))
        let unpacked = try bundle(at: given)
        defer { unpacked?.scratch.remove() }
        let path = unpacked?.path ?? given
        if let file = try Self.imageFile(at: path) {
            Console.write(file.text(indented: true) + "\n")
            return
        }
        var summary = try ImageSummary(of: ImageDirectory(opening: path))
        summary.directory = given
        Console.write(common.json ? summary.json.text() + "\n" : summary.text(Console.outputStyle))
    }

    /// Unpacks a bundle, or the bundle in which the file is; nil where the path leads to neither.
    private func bundle(at path: FilePath) throws -> (scratch: ScratchDirectory, path: FilePath)? {
        let parent = path.removingLastComponent()
        let isImage = path.lastComponent?.string.hasSuffix(".img") ?? false
        guard let found = isImage ? BundleInput.bundle(parent) : BundleInput.bundle(path) else { return nil }
        let input = BundleInput(
            path: found, workDirectory: common.workDir.map { FilePath($0) },
            identities: bundleReading.identity.map { FilePath($0) },
            passphraseFile: bundleReading.passphraseFile.map { FilePath($0) })
        // What is unpacked is removed whatever comes.
        Cancellation.install()
        let (scratch, images) = try input.unpack(keepsPages: false)
        return (scratch, isImage ? images.appending(path.lastComponent.map { [$0] } ?? []) : images)
    }

    /// The decoded content of a file; nil for a directory.
    private static func imageFile(at path: FilePath) throws(Problem) -> JSON? {
        guard let name = path.lastComponent?.string else { return nil }
        let parent = path.removingLastComponent()
        let kind = AnyImageKind.named(name)?.kind
        let isRaw = RawImage.named(name) != nil
        guard kind != nil || isRaw || name.hasSuffix(".img") else { return nil }
        let directory = try ImageDirectory(opening: parent.isEmpty ? "." : parent)
        guard let file = try directory.file(named: name) else {
            throw Problem(
                .imageMissing, "there is no such image", object: .init(path: path.string),
                remedy: "Name an image directory, or a file in one")
        }
        if let kind { return try kind.json(of: file) }
        throw Problem(
            .imageInvalid,
            isRaw
                ? "the file holds raw bytes, \(file.size) of them, which have no fields to show"
                : "no kind of image has such a name",
            object: .init(path: path.string),
            remedy: "Show the directory, or a file of another kind")
    }
}
