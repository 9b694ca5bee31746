public import Diagnostics
public import ImageMessages
internal import SwiftProtobuf
internal import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// The manifest is what makes a dump whole: it is renamed into place last, names every image file with its size, and a
// directory whose files differ from it is refused before any process is made. Images of CRIU have none.

extension Manifest {
    /// The name of the file.
    public static let fileName = "manifest.json"
    /// The version that this Apus writes, and the newest that it understands.
    public static let currentVersion: UInt32 = 1
    /// More than any directory needs: a task has some ten files of a hundred bytes each here.
    static let largestFile: UInt64 = 256 << 20
}

extension ImageDirectory {
    /// Clears the directory for a new dump: removes the manifest first, so that it never speaks of files that are not
    /// its own, then all images of an earlier dump, which a restore would otherwise mix with the new ones.
    ///
    /// - Throws: `image-unwritable`.
    public func clear() throws(Problem) {
        let images = try fileNames().filter(Self.isImage)
        for name in [Manifest.fileName, Manifest.fileName + ".tmp"] + images {
            do throws(Errno) {
                try Posix.remove(name, in: descriptor)
            } catch {
                throw .unwritable(path.appending(name), error, attempted: "unlinkat(\"\(name)\")")
            }
        }
        try clearShared()
    }

    /// Declares the dump complete: writes the manifest beside its place, makes sure that it and every image are on the
    /// disk, and renames it into place. The rename is the one instant in which the dump comes to be.
    ///
    /// The disk is asked once for the whole file system, by syncfs(2). To ask for each file takes a commit of the
    /// journal for each: measured with twenty small images on ext4, 75 to 100 ms against 4 to 15, all of it time in
    /// which the processes are frozen.
    ///
    /// - Parameters:
    ///   - toolVersion: the version of Apus.
    ///   - created: now, in seconds since 1970.
    ///   - durable: wait for the disk. Without it, a crash of the machine may leave a manifest with images that are
    ///     shorter than it says, which a restore finds out.
    /// - Throws: `image-unwritable`.
    public func commit(toolVersion: String, created: Int64, durable: Bool = true) throws(Problem) {
        var manifest = Manifest()
        manifest.formatVersion = Manifest.currentVersion
        manifest.toolVersion = toolVersion
        manifest.created = created
        manifest.files = try imageFiles()
        let temporary = Manifest.fileName + ".tmp"
        var writer = try ImageWriter(creating: temporary, in: self)
        try writer.append(raw: manifest.json())
        try writer.finish()
        do throws(Errno) {
            if durable { try Posix.syncFileSystem(of: descriptor) }
            try Posix.rename(temporary, to: Manifest.fileName, in: descriptor)
            if durable { try Posix.sync(descriptor) }
        } catch {
            throw .unwritable(path.appending(Manifest.fileName), error, attempted: "syncfs, renameat, fsync")
        }
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
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        let manifest: Manifest
        do {
            manifest = try Manifest(jsonUTF8Bytes: text, options: options)
        } catch {
            throw .image(.imageBadFrame, file.path, "the manifest cannot be understood (\(error))")
        }
        // JSON, unlike the binary form, is read without a look at what is required.
        guard manifest.isInitialized else {
            throw .image(.imageBadFrame, file.path, "the manifest lacks a part that every manifest has")
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
    /// - Returns: one problem for each file that is missing or of another size.
    public func differences(from manifest: Manifest) -> [Problem] {
        manifest.files.compactMap { (entry) -> Problem? in
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
                if file.size == entry.size { return nil }
                return .image(
                    file.size < entry.size ? .imageTruncated : .imageChanged, file.path,
                    "the image has \(file.size) bytes, but had \(entry.size) when it was dumped")
            } catch {
                return error
            }
        }
    }

    private func imageFiles() throws(Problem) -> [ManifestFile] {
        var files: [ManifestFile] = []
        for name in try fileNames().filter(Self.isImage) {
            guard let file = try file(named: name) else { continue }
            var entry = ManifestFile()
            entry.name = name
            entry.size = file.size
            files.append(entry)
        }
        for var entry in try shared()?.imageFiles() ?? [] {
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

extension Manifest {
    fileprivate func json() -> [UInt8] {
        var options = JSONEncodingOptions()
        options.alwaysPrintInt64sAsNumbers = true
        options.preserveProtoFieldNames = true
        do {
            return try jsonUTF8Bytes(options: options)
        } catch {
            preconditionFailure("a complete manifest is always JSON: \(error)")
        }
    }
}
