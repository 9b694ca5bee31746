public import Diagnostics
internal import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// The manifest is what makes a dump whole: it is renamed into place last, names every image file with its size, and a
// directory whose files differ from it is refused before any process is made. Images of CRIU have none.
//
// So a directory without a manifest may be one of CRIU, and CRIU looks for none. What tells both that a dump was not completed is that
// there is no inventory, the image that every reader opens first: it comes into place right before the manifest.

extension Manifest {
    /// More than any directory needs: a task has some ten files of a hundred bytes each here.
    static let largestFile: UInt64 = 256 << 20
}

extension ImageDirectory {
    /// Clears the directory for a new dump: removes the manifest first, so that it never speaks of files that are not its own, and
    /// the inventory, so that nobody takes what is left for whole; then all other images of an earlier dump, which a restore would
    /// otherwise mix with the new ones.
    ///
    /// - Parameter keepsCopies: leave those of files that were taken along already (``keepCopies(_:)``).
    /// - Throws: `image-unwritable`.
    public func clear(keepsCopies: Bool = false) throws(Problem) {
        let images = try fileNames().filter(Self.isImage)
        let first = [Manifest.fileName, Self.inventoryName].flatMap { [$0, $0 + Self.beside] }
        for name in first + images {
            do throws(Errno) {
                try Posix.remove(name, in: descriptor)
            } catch {
                throw .unwritable(path.appending(name), error, attempted: "unlinkat(\"\(name)\")")
            }
        }
        try clearShared()
        if !keepsCopies { try keepCopies([]) }
    }

    /// Whether a dump stands here, or what may be one.
    ///
    /// - Throws: `image-unreadable`.
    public var holdsDump: Bool {
        get throws(Problem) {
            let names = try fileNames()
            return names.contains(Manifest.fileName) || names.contains(Self.inventoryName)
        }
    }

    private static let inventoryName = ImageKind.inventory.layout.fileName()
    /// What a file is called more while it waits to be renamed.
    private static let beside = ".tmp"

    /// Declares the dump complete: writes the inventory and the manifest beside their places, makes sure that they and every image
    /// are on the disk, and renames them into place. The rename is the one instant in which the dump comes to be.
    ///
    /// The disk is asked once for the whole file system, by syncfs(2). To ask for each file takes a commit of the
    /// journal for each: measured with twenty small images on ext4, 75 to 100 ms against 4 to 15, all of it time in
    /// which the processes are frozen.
    ///
    /// - Parameters:
    ///   - toolVersion: the version of Apus.
    ///   - created: now, in seconds since 1970.
    ///   - inventory: what the directory is; nil where that is there.
    ///   - listed: what ``list(by:)`` has said of the images, where nothing was written since; they are listed now without it.
    ///   - digests: of large images, as far as they are known already, by their names in the manifest. Those of small ones are known
    ///     where they were written through this very object.
    ///   - durable: wait for the disk. Without it, a crash of the machine may leave a manifest with images that are
    ///     shorter than it says, which a restore finds out.
    ///   - workforce: makes the digests of small images that are not known.
    /// - Throws: `image-unwritable`.
    @discardableResult public func commit(
        _ inventory: InventoryEntry? = nil, toolVersion: String, created: Int64, host: HostRecord? = nil,
        root: ManifestRoot? = nil,
        needed: [NeededFile] = [], listed: [ManifestFile]? = nil, digests: [String: ImageDigest] = [:],
        durable: Bool = true,
        by workforce: some Workforce = SingleWorker()
    ) throws(Problem) -> Manifest {
        var manifest = Manifest()
        manifest.toolVersion = toolVersion
        manifest.created = created
        (manifest.host, manifest.root) = (host, root)
        manifest.files = if let listed { listed } else { try list(by: workforce) }
        for index in manifest.files.indices where manifest.files[index].digest == nil {
            manifest.files[index].digest = digests[manifest.files[index].name]
        }
        manifest.needed = needed
        if let inventory {
            let place = manifest.files.firstIndex { $0.name > Self.inventoryName } ?? manifest.files.endIndex
            manifest.files.insert(try writeBeside(inventory), at: place)
        }
        do throws(Errno) {
            try write(manifest)
            if durable { try Posix.syncFileSystem(of: descriptor) }
            if inventory != nil {
                try Posix.rename(Self.inventoryName + Self.beside, to: Self.inventoryName, in: descriptor)
            }
            try putInPlace(durable: durable)
        } catch {
            throw .unwritable(path.appending(Manifest.fileName), error, attempted: "syncfs, renameat, fsync")
        }
        return manifest
    }

    /// Adds to the manifest of a committed dump what takes longer than a tree should stand still for it: the digests of
    /// its large images. Until then these are known by their sizes.
    ///
    /// - Parameters:
    ///   - manifest: the one that was committed; what else has been found out meanwhile is in it.
    ///   - durable: wait for the disk.
    ///   - goesOn: asked now and then; the manifest stays as it is where it says no.
    /// - Returns: the manifest that stands there now.
    /// - Throws: `image-unwritable`, `image-unreadable`.
    @discardableResult public func seal(
        _ manifest: Manifest, durable: Bool = true, while goesOn: () -> Bool = { true }
    ) throws(Problem) -> Manifest {
        let committed = manifest
        var manifest = manifest
        for index in manifest.files.indices where manifest.files[index].digest == nil {
            guard let place = try place(of: manifest.files[index].name),
                let file = try place.directory.file(named: place.file)
            else { continue }
            guard let digest = try file.digest(while: goesOn) else { return committed }
            manifest.files[index].digest = digest
        }
        do throws(Errno) {
            try write(manifest)
            let name = Manifest.fileName + Self.beside
            let written = try Posix.open(name, in: descriptor, flags: O_RDONLY | O_NOFOLLOW)
            defer { try? Posix.close(written) }
            if durable { try Posix.sync(written) }
            try putInPlace(durable: durable)
        } catch {
            throw .unwritable(path.appending(Manifest.fileName), error, attempted: "fsync, renameat")
        }
        return manifest
    }

    /// Writes the inventory beside its place.
    private func writeBeside(_ inventory: InventoryEntry) throws(Problem) -> ManifestFile {
        let layout = ImageKind.inventory.layout
        var writer = try ImageWriter(creating: layout, named: Self.inventoryName + Self.beside, in: self)
        try writer.append(inventory)
        guard let (digest, size) = try writer.finishWhole() else { preconditionFailure("an inventory is small") }
        return ManifestFile(name: Self.inventoryName, size: size, digest: digest)
    }

    /// Writes a manifest beside its place.
    private func write(_ manifest: Manifest) throws(Errno) {
        let name = Manifest.fileName + Self.beside
        try Posix.remove(name, in: descriptor)
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
        let file = try Posix.open(name, in: descriptor, flags: flags, mode: 0o600)
        do throws(Errno) {
            try Posix.write(file, Array((manifest.json.text(indented: true) + "\n").utf8))
        } catch {
            try? Posix.close(file)
            throw error
        }
        try Posix.close(file)
    }

    private func putInPlace(durable: Bool) throws(Errno) {
        try Posix.rename(Manifest.fileName + Self.beside, to: Manifest.fileName, in: descriptor)
        if durable { try Posix.sync(descriptor) }
    }

    /// Reads the manifest; nil where there is none.
    ///
    /// - Throws: `image-bad-frame` where it cannot be understood, `image-version` where it is of a newer Apus.
    public func manifest() throws(Problem) -> Manifest? {
        guard let file = try file(named: Manifest.fileName) else { return nil }
        guard file.size <= Manifest.largestFile else {
            throw .image(.imageBadFrame, file.path, "the manifest is too large to be one")
        }
        let text = try file.bytes(at: 0, count: file.size)
        guard let document = JSON(parsing: text), let manifest = Manifest(document) else {
            throw .image(.imageBadFrame, file.path, "the manifest cannot be understood")
        }
        guard manifest.formatVersion <= Manifest.currentVersion else {
            throw .image(
                .imageVersion, file.path,
                "the images were written by a newer Apus (\(manifest.toolVersion), format \(manifest.formatVersion))",
                remedy: "Restore with Apus \(manifest.toolVersion) or newer")
        }
        return manifest
    }

    /// Compares the directory with its manifest.
    ///
    /// The content of large images is another matter, which takes long: ``contentDifferences(from:while:)``.
    ///
    /// - Returns: one problem for each file that is missing, of another size, or small and of another content.
    public func differences(from manifest: Manifest, by workforce: some Workforce = SingleWorker()) -> [Problem] {
        workforce.map(manifest.files.count) { difference(from: manifest.files[$0]) }.compactMap(\.self)
    }

    /// What is wrong with one file.
    private func difference(from entry: ManifestFile) -> Problem? {
        let name = String(entry.name.split(separator: "/", omittingEmptySubsequences: false).last ?? "")
        guard Self.isImage(name) else {
            return .image(
                .imageInvalid, path.appending(Manifest.fileName), "the manifest lists a file that is no image")
        }
        do throws(Problem) {
            guard let place = try place(of: entry.name) else {
                return .image(.imageMissing, path.appending(entry.name), "the image is missing")
            }
            guard place.file == name else {
                return .image(
                    .imageInvalid, path.appending(Manifest.fileName), "the manifest lists a file that is no image")
            }
            guard let file = try place.directory.file(named: name) else {
                return .image(.imageMissing, path.appending(entry.name), "the image is missing")
            }
            if file.size == entry.size {
                guard file.size <= Self.smallFile else { return nil }
                return try difference(of: file, from: entry, while: { true })
            }
            return .image(
                file.size < entry.size ? .imageTruncated : .imageChanged, file.path,
                "the image has \(file.size) bytes, but had \(entry.size) when it was dumped")
        } catch {
            return error
        }
    }

    /// The digest of a file up to so many bytes takes less than a millisecond: those are compared whenever a directory is.
    public static let smallFile: UInt64 = 1 << 20

    /// Compares the content of large images with the manifest.
    ///
    /// - Parameter goesOn: asked now and then; nothing more is compared where it says no.
    /// - Returns: one problem for each image whose content is another.
    public func contentDifferences(from manifest: Manifest, while goesOn: () -> Bool = { true }) -> [Problem] {
        manifest.files.filter { $0.size > Self.smallFile && $0.digest != nil }.compactMap { (entry) -> Problem? in
            do throws(Problem) {
                guard let place = try place(of: entry.name), let file = try place.directory.file(named: place.file)
                else {
                    return .image(.imageMissing, path.appending(entry.name), "the image is missing")
                }
                return try difference(of: file, from: entry, while: goesOn)
            } catch {
                return error
            }
        }
    }

    private func difference(
        of file: ImageFile, from entry: ManifestFile, while goesOn: () -> Bool
    ) throws(Problem) -> Problem? {
        guard let wanted = entry.digest, let digest = try file.digest(while: goesOn), digest != wanted else {
            return nil
        }
        return .image(
            .imageChanged, file.path,
            "the image has the size that it had when it was dumped, but another content (its XXH3 digest is \(digest))")
    }

    /// What a pages file is called in the manifest.
    ///
    /// - Parameter layer: 0 for the directory itself, 1 for its parent with shared pages, and so on.
    public static func nameOfPages(_ id: UInt32, layer: Int) -> String {
        String(repeating: sharedName + "/", count: layer) + RawImage.pages.layout.fileName(id: UInt64(id))
    }

    /// All images as they are now, for a manifest; the digests of large ones are left out.
    ///
    /// - Throws: `image-unreadable`.
    public func list(by workforce: some Workforce = SingleWorker()) throws(Problem) -> [ManifestFile] {
        let names = try fileNames()
        let found = try workforce.map(
            names.count,
            throwing: { (index) throws(Problem) -> ManifestFile? in
                let name = names[index]
                guard Self.isImage(name) else { return nil }
                if let status = try? Posix.status(of: name, in: descriptor), status.isRegular,
                    let digest = writtenDigest(of: name, size: status.size)
                {
                    return ManifestFile(name: name, size: status.size, digest: digest)
                }
                guard let file = try file(named: name) else { return nil }
                let digest = file.size <= Self.smallFile ? try file.digest(while: { true }) : nil
                return ManifestFile(name: name, size: file.size, digest: digest)
            })
        var files = found.compactMap(\.self)
        let below = if let madeShared { madeShared } else { try shared() }
        for var entry in try below?.list(by: workforce) ?? [] {
            entry.name = Self.sharedName + "/" + entry.name
            files.append(entry)
        }
        return files
    }

    /// Statistics and caches are written after the commit, or elsewhere: no part of the dump.
    private static func isImage(_ name: String) -> Bool {
        if name == Supplement.fileName { return true }
        return name.hasSuffix(".img") && (RawImage.named(name) != nil || AnyImageKind.named(name) != nil)
    }
}
