internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// An open file, or a mapped or executed one, that had no name any more at the dump: made anew with its content, opened
/// under the name that it had, and unlinked again, so that all of `/proc` shows it as before.
///
/// All that the tree has of it is one file. It has a name for some microseconds only. Where another file has taken its
/// name meanwhile (an updated library), it gets one beside that, which `/proc/PID/maps` then shows.
struct UnnamedFile: Resource {
    private var entry: RegFileEntry
    private let ghost: GhostFileEntry
    private let id: UInt32

    /// - Parameters:
    ///   - entry: the description.
    ///   - ghost: the file, whose content stays in the images until it is opened.
    ///   - id: of the file in the images.
    ///   - mappedAs: for a file that is only mapped, how the mapping needs it to be opened.
    init(_ entry: RegFileEntry, ghost: GhostFileEntry, id: UInt32, mappedAs: UInt32?) {
        self.entry = entry
        self.ghost = ghost
        self.id = id
        if let mappedAs { self.entry.flags = mappedAs }
    }

    /// What opens a description of a deleted file; nil for a description of another.
    static func find(_ key: FileTable.Key, in images: CheckpointImages, mappedAs: UInt32?) -> UnnamedFile? {
        guard key.type == .reg, let entry = images.files.regular(key.id),
            let remap = images.remaps.first(where: { $0.origID == key.id && $0.remapType == .ghost }),
            let ghost = images.ghosts[remap.remapID]
        else { return nil }
        return UnnamedFile(entry, ghost: ghost, id: remap.remapID, mappedAs: mappedAs)
    }

    private static let typeBits: UInt32 = 0o170000
    private static let regular: UInt32 = 0o100000

    private var path: FilePath { entry.path.isAbsolute ? entry.path : FilePath("/").appending(entry.path.components) }

    var description: String { "\(path), which was deleted," }

    func obstacles(at site: RestoreSite) -> [Problem] {
        if ghost.mode & Self.typeBits != Self.regular {
            return [
                Problem(
                    .objectUnsupported, "the images hold a deleted file that is no regular one",
                    object: .init(path: path.string), remedy: "Restore these images with CRIU")
            ]
        }
        return []
    }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if site.deletedFiles[id] == nil {
            guard let content = try site.images.ghost(id: id) else {
                throw Problem(
                    .objectUnsupported, "the images lack the content of a deleted file",
                    object: .init(path: path.string), remedy: "Copy the images again, all of them")
            }
            site.deletedFiles[id] = SharedFile(try GhostMaker(path: path, id: id, content: content).make())
        }
        let flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags))
            .subtracting([.create, .exclusive, .truncate, .noFollow, .temporaryFile])
        do throws(Errno) {
            guard let file = site.deletedFiles[id] else { throw .badFileDescriptor }
            let descriptor = try Files.open(FilePath("/proc/self/fd/\(file.descriptor.raw)"), flags)
            if entry.pos != 0, !flags.contains(.path) {
                _ = try Files.seek(descriptor.raw, to: Int64(bitPattern: entry.pos))
            }
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "the deleted file cannot be opened", object: .init(path: path.string),
                cause: .init(error, attempted: "open"), remedy: "Run Apus as root, and see that /proc is mounted")
        }
    }
}

/// Makes a file with a content and without a name.
private struct GhostMaker {
    let path: FilePath
    let id: UInt32
    let content: GhostContent

    /// - Returns: a descriptor to read with, through which others can be opened.
    func make() throws(Problem) -> OwnedDescriptor {
        let directory = path.removingLastComponent()
        let made = try makeDirectories(directory)
        defer { for one in made.reversed() { try? Files.remove(one, isDirectory: true) } }
        do throws(Errno) {
            let file = try NamelessFile.make(path, or: FilePath(bytes: path.bytes + Array(".apus-\(id)".utf8)))
            try fill(file.writer.raw)
            return try file.reader()
        } catch {
            throw Problem(
                .fileUnopenable, "the deleted file cannot be made anew", object: .init(path: path.string),
                cause: .init(error, attempted: "open, write, linkat"),
                remedy: "See that \(directory) is on a file system that can be written to, with room for"
                    + " \(content.size) bytes")
        }
    }

    /// A directory that has gone, too, is there again for that long.
    private func makeDirectories(_ directory: FilePath) throws(Problem) -> [FilePath] {
        var missing: [FilePath] = []
        var current = directory
        while (try? Files.status(of: current)) == nil, current.lastComponent != nil {
            missing.append(current)
            current = current.removingLastComponent()
        }
        var made: [FilePath] = []
        for one in missing.reversed() {
            do throws(Errno) { try Files.makeDirectory(one, mode: 0o700) } catch {
                for one in made.reversed() { try? Files.remove(one, isDirectory: true) }
                throw Problem(
                    .fileUnopenable, "the directory of a deleted file cannot be made", object: .init(path: one.string),
                    cause: .init(error, attempted: "mkdir"), remedy: "Make the directory before the restore")
            }
            made.append(one)
        }
        return made
    }

    private func fill(_ descriptor: Int32) throws(Errno) {
        let size: UInt64 = 4 << 20
        for piece in content.pieces {
            var done: UInt64 = 0
            while done < piece.count {
                let count = min(size, piece.count - done)
                let bytes = try Files.read(content.image.descriptor, count: Int(count), at: piece.place + done)
                // Cut short since it was checked.
                if bytes.count < Int(count) { throw .ioError }
                try Files.write(descriptor, bytes, at: piece.offset + done)
                done += count
            }
        }
        try Files.truncate(descriptor, to: content.size)
        let entry = content.entry
        try Files.setOwner(descriptor, uid: entry.uid, gid: entry.gid)
        // Behind the owner, whose change takes set-id bits away.
        try Files.setMode(descriptor, entry.mode & 0o7777)
        if entry.hasAtim && entry.hasMtim {
            try Files.setTimes(descriptor, accessed: .init(entry.atim), modified: .init(entry.mtim))
        }
    }
}

extension FileStatus.Time {
    fileprivate init(_ time: Timeval) {
        self.init(
            seconds: Int64(bitPattern: time.tvSec), nanoseconds: UInt32(clamping: min(time.tvUsec, 999_999)) * 1000)
    }
}
