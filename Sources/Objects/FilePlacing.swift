internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

extension NamedFile {
    /// Takes the copy that the dump has of this file, where it has one and that can be used.
    ///
    /// What is only read comes from the store of copies. What is written to is put in place: where there is none, and with
    /// `--overwrite-files` also in place of another.
    ///
    /// - Parameters:
    ///   - whereMissing: this host has no such file.
    ///   - untouched: the file of this host, which would do. It is replaced only where that was asked for.
    /// - Returns: what stands in the way of that; nil where there is no copy to use.
    func replacement(
        whereMissing: Bool, at site: RestoreSite, unlessUntouched untouched: FileStatus? = nil
    ) -> [Problem]? {
        guard let needed = site.choices.needed(self), needed.isShipped, let digest = needed.digest else { return nil }
        if needed.uses.isDisjoint(with: .written) {
            guard untouched == nil else { return nil }
            if needed.uses.contains(.loading) { return [beingLoaded] }
            site.choose(.copy(digest), for: self)
            site.warn(
                "\(path): this host has \(whereMissing ? "no such file" : "another file"), and the copy that came with the"
                    + " images is used: \(site.copies.path(digest))")
            return site.copies.obstacles(to: digest, of: needed, path: path)
        }
        guard whereMissing || site.choices.overwrites else { return nil }
        if let untouched, needed.isUntouched(untouched) { return nil }
        let placing = site.placings[path] ?? FilePlacing(needed, digest, replaces: !whereMissing)
        site.placings[path] = placing
        site.choose(.placed(placing), for: self)
        let what = whereMissing ? "is not there, and is put there" : "is replaced (--overwrite-files)"
        site.warn("\(path) \(what): the copy that came with the images, of \(needed.size) bytes")
        return placing.obstacles + site.copies.obstacles(to: digest, of: needed, path: path)
    }
}

extension NamedFile {
    /// Beside the copy the loader would map libraries of this host.
    private var beingLoaded: Problem {
        Problem(
            .fileChanged,
            "a program was dumped while its libraries were being loaded, and would get those of this host, which do not go"
                + " with the loader that it has",
            object: .init(path: path.string),
            remedy: "Dump it again, when it has been loaded, or restore it where this file is the same")
    }
}

/// A file that the tree writes to and that this host gets from the images. It is made beside its place, and has its name
/// from the moment on at which the tree runs: a restore that fails, or that is killed, leaves what was there.
final class FilePlacing {
    private let needed: NeededFile
    private let digest: ContentDigest
    private let replaces: Bool
    private var isMade = false
    /// In the directory of the file.
    private let temporary: FilePath

    init(_ needed: NeededFile, _ digest: ContentDigest, replaces: Bool) {
        (self.needed, self.digest, self.replaces) = (needed, digest, replaces)
        temporary = needed.path.removingLastComponent().appending(
            ".apus-\(digest.description.prefix(16)).\(RandomName.mark)")
    }

    private var path: FilePath { needed.path }

    /// Names in images are input: nothing is written where a link, or `..`, leads.
    var obstacles: [Problem] {
        func refused(_ what: String, _ place: FilePath, _ error: Errno? = nil) -> [Problem] {
            [
                Problem(
                    .fileUnopenable, what, object: .init(path: place.string),
                    cause: error.map { .init($0, attempted: "stat") },
                    remedy: "Make the directory as it was, or put the file there yourself")
            ]
        }
        var place: FilePath = "/"
        for component in path.removingLastComponent().components {
            if component.kind != .regular {
                return refused("a file is to be put where .. leads, and is not", path)
            }
            place.append(component)
            do throws(Errno) {
                guard try Files.status(of: place, followLinks: false).kind == .directory else {
                    return refused("a file is to be put below it, and it is no directory but a link or a file", place)
                }
            } catch {
                return refused("a file is to be put below it, and it is not there", place, error)
            }
        }
        if let there = try? Files.status(of: path, followLinks: false), !replaces || there.kind != .regular {
            return refused("a file is to be put there, and something else is there", path)
        }
        return []
    }

    func open(_ flags: OpenFlags, from site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            if !isMade || (try? Files.status(of: temporary, followLinks: false)) == nil { try make(site) }
            return try Files.open(temporary, flags.union([.noFollow, .noControllingTerminal]))
        } catch {
            if let failure { throw failure }
            throw Problem(
                .fileUnopenable, "the file cannot be put in place", object: .init(path: path.string),
                cause: .init(error, attempted: "open, write, chown, chmod of \(temporary)"),
                remedy: "See that its directory can be written to, and has room")
        }
    }

    private var failure: Problem?

    private func make(_ site: RestoreSite) throws(Errno) {
        let source: ImageFile
        do throws(Problem) {
            guard let found = try site.images.copy(digest) else { throw CopyStore.changed(path) }
            source = found
        } catch {
            failure = error
            throw Errno.ioError
        }
        let file = try Files.open(temporary, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600)
        site.madeFiles.append(temporary)
        guard try ContentDigest.read(source.descriptor, copyingTo: file.raw)?.digest == digest else {
            failure = CopyStore.changed(source.path)
            throw Errno.ioError
        }
        try Files.setOwner(file.raw, uid: needed.uid, gid: needed.gid)
        try Files.setMode(file.raw, needed.mode & 0o7777)
        isMade = true
    }

    /// Gives it its name.
    ///
    /// - Returns: what the tree has to do without, in words; nil where all is well.
    func finish() -> String? {
        do throws(Errno) {
            if replaces {
                try Files.rename(temporary, to: path)
            } else {
                try Files.renameExclusively(temporary, to: path)
            }
            return nil
        } catch {
            return "\(path) could not be given its name (\(error.description)): the program writes to \(temporary)"
        }
    }
}
