internal import Bundles
internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// A dump that becomes a bundle.
enum BundleOutput {
    /// Makes the place where images wait to be packed, unless the user has named one.
    ///
    /// - Returns: the place, which is to be removed on every way out; nil where there is none.
    static func prepare(_ options: inout DumpOptions) throws(Problem) -> ScratchDirectory? {
        guard var target = options.bundle else { return nil }
        if case .descriptor(let output) = target.place { target.place = .descriptor(try takeOutput(output)) }
        options.bundle = target
        try target.check()
        if target.keepsImages { return nil }
        let scratch = try ScratchDirectory(in: options.workDirectory ?? target.usualScratchPlace)
        options.imagesDirectory = try scratch.makeDirectory("images")
        return scratch
    }

    /// What was wrong with images that only wait to be packed: nobody has named their place by --images-dir.
    static func ofScratch(_ error: any Error) -> any Error {
        Problems.rewording(error) { $0.remedy = $0.remedy.replacing("--images-dir", with: "--work-dir") }
    }

    /// Takes the standard output for the bundle alone: whatever else is printed goes to the standard error.
    private static func takeOutput(_ output: Int32) throws(Problem) -> Int32 {
        if isatty(output) == 1 {
            throw Problem(
                .bundleUnwritable, "a bundle is not to be written to a terminal",
                remedy: "Write it to a pipe or a file: apus dump -t PID -o - | ...")
        }
        // A reader that goes away is an error to roll back from, and no signal to die of.
        _ = signal(SIGPIPE, SIG_IGN)
        do throws(Errno) {
            let own = try Files.duplicate(output, from: 3)
            try Files.duplicate(STDERR_FILENO, as: output, closeOnExec: false)
            return own.release()
        } catch {
            throw Problem(
                .bundleUnwritable, "the standard output cannot be used", cause: .init(error, attempted: "dup"),
                remedy: "Open both the standard output and the standard error")
        }
    }
}

extension OptionReader {
    /// What the images are to be packed into; nil where they are to stay a directory.
    mutating func bundleTarget() -> BundleTarget? {
        let (recipients, phrase) = (values("encrypt-to").map(RawArgument.text), path("passphrase-file"))
        guard let path = path("bundle") else {
            for option in ["compress", "overwrite", "encrypt-to", "passphrase-file"] where flag(option) {
                report([
                    Problem(
                        .missingOption, "--\(option) is for bundles, and none is named",
                        remedy: "Name it with --bundle FILE, or -o FILE.apus")
                ])
            }
            return nil
        }
        var target = BundleTarget(path == "-" ? .descriptor(STDOUT_FILENO) : .file(path))
        target.overwrites = flag("overwrite")
        if let how = values("compress").last.map(RawArgument.text) {
            if let compression = Compression(how) {
                target.compression = compression
            } else {
                report([Problem.invalid("--compress", how, expected: "none, lz4, zstd, or zstd:LEVEL from 1 to 19")])
            }
        }
        do throws(Problem) {
            if let phrase {
                if !recipients.isEmpty {
                    throw Problem(
                        .invalidValue, "--encrypt-to and --passphrase-file do not go together",
                        remedy: "Give one of them: so it is in the format of age")
                }
                target.lock = try AgeLock(
                    passphrase: AgeKey.passphrase(in: KeyFile.read(phrase), of: phrase.string))
            } else if !recipients.isEmpty {
                target.lock = try AgeLock(recipients: recipients)
            }
        } catch {
            report([error])
        }
        return target
    }
}

/// A small file with keys.
enum KeyFile {
    static func read(_ path: FilePath) throws(Problem) -> [UInt8] {
        do throws(Errno) {
            let file = try Files.open(path, .readOnly)
            return try Files.readAll(file.raw, limit: 1 << 20)
        } catch {
            throw Problem(
                .bundleKey, "the file cannot be read", object: .init(path: path.string),
                cause: .init(error, attempted: "open and read"), remedy: "Name a file that can be read")
        }
    }
}
