internal import Bundles
internal import Compatibility
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Restore
internal import SystemPackage

/// A bundle that is to be read.
struct BundleInput {
    /// `-` is the standard input.
    let path: FilePath
    let workDirectory: FilePath?
    let identities: [FilePath]
    let passphraseFile: FilePath?

    /// The path itself where a bundle is meant by it: `-`, or a file.
    static func bundle(_ path: FilePath) -> FilePath? {
        if path == "-" { return path }
        return (try? Files.status(of: path))?.kind == .regular ? path : nil
    }

    /// Unpacks it into a directory of its own, which is to be removed on every way out.
    func unpack(keepsPages: Bool = true) throws(Problem) -> (scratch: ScratchDirectory, images: FilePath) {
        var keys: [AgeKey] = []
        for file in identities { keys += try AgeKey.identities(in: try KeyFile.read(file), of: file.string) }
        if let passphraseFile {
            keys.append(
                .passphrase(try AgeKey.passphrase(in: try KeyFile.read(passphraseFile), of: passphraseFile.string)))
        }
        let input = try open()
        let scratch = try ScratchDirectory(in: workDirectory ?? ScratchDirectory.usualPlace)
        do throws(Problem) {
            let images = try BundleReader.unpack(
                input.raw, named: path.string, keys: keys, into: scratch, keepsPages: keepsPages)
            return (scratch, images)
        } catch {
            scratch.remove()
            throw error
        }
    }

    private func open() throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            if path != "-" { return try Files.open(path, .readOnly) }
            if isatty(STDIN_FILENO) == 0 { return try Files.duplicate(STDIN_FILENO, from: 3) }
        } catch {
            if error == .noSuchFileOrDirectory {
                throw Problem(
                    .imageMissing, "there is no such image directory, and no such bundle",
                    object: .init(path: path.string),
                    cause: .init(error, attempted: "open(\"\(path)\")"),
                    remedy: "Name the directory that holds the images, or a bundle")
            }
            throw Problem(
                .bundleUnreadable, "the bundle cannot be opened", object: .init(path: path.string),
                cause: .init(error, attempted: "open(\"\(path)\")"), remedy: "Name a file that can be read")
        }
        throw Problem(
            .bundleUnreadable, "a bundle is not to be read from a terminal", object: .init(path: path.string),
            remedy: "Give it by a pipe: ssh HOST apus dump -t PID -o - | apus restore -")
    }
}

extension BundleInput {
    /// The bundle of a restore; nil where it is from an image directory.
    init?(_ session: Session) throws {
        var reader = OptionReader(session.invocation)
        var path = reader.path("bundle")
        if !session.invocation.has("exec-cmd"), let operand = session.invocation.operands.first {
            if path != nil {
                reader.report([
                    Problem(.unexpectedArgument, "two bundles are named", remedy: "Name one, by --bundle or without")
                ])
            }
            // A directory has been taken by the options.
            path = FilePath(bytes: operand)
            if let found = path, (try? Files.status(of: found))?.kind == .directory { path = nil }
        }
        let identities = reader.paths("identity")
        let passphraseFile = reader.path("passphrase-file")
        if path != nil, session.invocation.has("images-dir") {
            reader.report([
                Problem(
                    .invalidValue, "both a bundle and an image directory are named",
                    remedy: "Leave --images-dir out: a bundle is unpacked where --work-dir says")
            ])
        }
        let workDirectory = reader.path("work-dir")
        try reader.finish()
        guard let path else { return nil }
        self.init(
            path: path, workDirectory: workDirectory, identities: identities, passphraseFile: passphraseFile)
    }

    /// Unpacks it for a restore, which removes what was unpacked as soon as the tree runs.
    func unpack(into options: inout RestoreOptions) throws(Problem) -> ScratchDirectory {
        let (scratch, images) = try unpack()
        options.imagesDirectory = images
        // What is relative to the image directory would vanish with it.
        if options.workDirectory == nil, let file = options.pidFile, !file.isAbsolute {
            options.pidFile = Files.absolute(file)
        }
        let report = options.report
        options.report = { statistics in
            scratch.remove()
            report(statistics)
        }
        return scratch
    }
}
