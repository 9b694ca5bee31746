internal import Diagnostics
public import Images
internal import Linux
public import SystemPackage

/// Where restored processes have their copies of files that this host has not, or has otherwise: `STATE/files`, once each
/// and shared by all restores. The host's own files are never touched.
///
/// A file in it has the digest of its content for a name. It is never trusted: whoever uses one reads it whole.
public final class CopyStore {
    /// The state directory where none is named (`--state-dir`).
    public static let usualState: FilePath = "/var/lib/apus"

    private let images: ImageDirectory
    private let directory: FilePath
    /// Holds `apus gc` off until the restore is over (flock(2)).
    private var lock: SharedDescriptor?
    private var made: [ContentDigest] = []

    public init(_ images: ImageDirectory, state: FilePath = CopyStore.usualState) {
        self.images = images
        directory = Self.directory(state)
    }

    static func directory(_ state: FilePath) -> FilePath { state.appending("files") }

    /// Whether a path is that of a copy, in whatever state directory.
    public static func holds(_ path: FilePath) -> Bool {
        guard let name = path.lastComponent?.string, ContentDigest(name) != nil else { return false }
        return path.removingLastComponent().lastComponent == "files"
    }

    /// Where a copy is.
    func path(_ digest: ContentDigest) -> FilePath { directory.appending(digest.description) }

    // MARK: Asking

    /// Whether a copy could be used. Nothing is made.
    ///
    /// - Parameters:
    ///   - needed: what it is a copy of.
    ///   - path: whose place it takes, for messages.
    func obstacles(to digest: ContentDigest, of needed: NeededFile, path: FilePath) -> [Problem] {
        do throws(Problem) {
            guard let copy = try images.copy(digest) else {
                return [
                    Problem(
                        .imageMissing, "its copy, files/\(digest), is not in the image directory",
                        object: .init(path: path.string),
                        remedy: "Copy the image directory again, with its directory files")
                ]
            }
            if copy.size != needed.size { return [Self.changed(copy.path)] }
        } catch {
            return [error]
        }
        return needed.uses.isDisjoint(with: [.mapped, .executed]) ? [] : unsuitable.map { [$0] } ?? []
    }

    /// Why nothing can be executed from the store, nil where it can.
    private var unsuitable: Problem? {
        var place = directory
        while (try? Files.status(of: place)) == nil, !place.components.isEmpty { place = place.removingLastComponent() }
        if (try? Files.allowsExecution(place)) ?? true { return nil }
        return Problem(
            .fileUnopenable, "nothing can be executed from there (its file system is mounted noexec)",
            object: .init(path: directory.string), remedy: "Name another place for copies with --state-dir")
    }

    static func changed(_ path: FilePath) -> Problem {
        Problem(
            .imageChanged, "the copy has not the content that its name tells", object: .init(path: path.string),
            remedy: "Copy the image directory again from where it was dumped, or make a new dump")
    }

    // MARK: Using

    /// Opens a copy, which is put into the store where it is not there.
    ///
    /// - Throws: `image-changed` where the copy in the image directory is not what its name says.
    func open(_ digest: ContentDigest, _ flags: OpenFlags) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            try prepare()
            if try !isSound(digest) {
                guard try put(digest) else { throw Errno.noSuchFileOrDirectory }
            }
            return try Files.open(path(digest), flags.union(.noFollow))
        } catch {
            if let problem = failure { throw problem }
            throw Problem(
                .fileUnopenable, "the copy of a file cannot be used", object: .init(path: path(digest).string),
                cause: .init(error, attempted: "open, write, rename"),
                remedy: "Make room, and see that the directory can be written to; or name another with --state-dir")
        }
    }

    private var failure: Problem?

    private func prepare() throws(Errno) {
        if lock != nil { return }
        for place in [directory.removingLastComponent(), directory] {
            do throws(Errno) { try Files.makeDirectory(place, mode: 0o755) } catch {
                if error != .fileExists { throw error }
            }
        }
        let opened = try Files.open(directory, [.readOnly, .directory, .noFollow])
        try Files.lock(opened.raw, .shared)
        lock = SharedDescriptor(opened)
    }

    /// Whether the store has the copy, whole. One that has not its content is of no use to anybody.
    private func isSound(_ digest: ContentDigest) throws(Errno) -> Bool {
        let file: OwnedDescriptor
        do throws(Errno) {
            file = try Files.open(path(digest), [.readOnly, .noFollow, .nonBlocking])
        } catch .noSuchFileOrDirectory {
            return false
        } catch .tooManySymbolicLinkLevels {
            try Files.remove(path(digest))
            return false
        }
        let status = try Files.status(ofDescriptor: file.raw)
        if status.kind == .regular, status.uid == Processes.effectiveUser,
            try ContentDigest.read(file.raw)?.digest == digest
        {
            return true
        }
        try Files.remove(path(digest))
        return false
    }

    /// Puts a copy into the store: beside its place first, and under its name when it is known to be what the name says.
    private func put(_ digest: ContentDigest) throws(Errno) -> Bool {
        let source: ImageFile
        do throws(Problem) {
            guard let found = try images.copy(digest) else { return false }
            source = found
        } catch {
            failure = error
            return false
        }
        // Others may be at the same.
        let temporary = directory.appending(".\(digest).\(RandomName.mark)")
        let output = try Files.open(temporary, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o600)
        do throws(Errno) {
            guard try ContentDigest.read(source.descriptor, copyingTo: output.raw)?.digest == digest else {
                failure = Self.changed(source.path)
                throw Errno.invalidArgument
            }
            // Whoever runs the program has to be able to read and to execute it.
            try Files.setMode(output.raw, 0o555)
            try Files.rename(temporary, to: path(digest))
        } catch {
            try? Files.remove(temporary)
            throw error
        }
        made.append(digest)
        return true
    }

    /// The tree runs: its copies stay, and `apus gc` finds them in use.
    func commit() {
        made = []
        lock = nil
    }

    /// The restore has failed: what it put there goes again, unless another restore is at work, which may use it.
    func withdraw() {
        if let lock, !made.isEmpty, (try? Files.lock(lock.descriptor.raw, .exclusive, waits: false)) != nil {
            for digest in made { try? Files.remove(path(digest)) }
        }
        commit()
    }
}

@available(*, unavailable)
extension CopyStore: Sendable {}
