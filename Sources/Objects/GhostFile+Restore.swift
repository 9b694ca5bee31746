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
    fileprivate let entry: RegFileEntry
    fileprivate let ghost: GhostFileEntry
    fileprivate let id: UInt32
    fileprivate let kind: FileStatus.Kind?
    /// The description by which the file was made without a name (O_TMPFILE of open(2)), where it is one: only what is made
    /// so can be given a name by linkat(2), and no other way of opening it gives it these flags.
    fileprivate let maker: RegFileEntry?
    /// All deleted directories of the images: one may have been in another.
    fileprivate let directories: [GhostDirectories.Item]

    /// What opens a description of a deleted file; nil for a description of another.
    ///
    /// - Parameter mappedAs: for a file that is only mapped, how the mapping needs it to be opened.
    static func find(_ key: FileTable.Key, in images: CheckpointImages, mappedAs: UInt32?) -> UnnamedFile? {
        guard key.type == .reg, var entry = images.files.regular(key.id),
            let remap = images.remaps.first(where: { $0.origID == key.id && $0.remapType == .ghost }),
            let ghost = images.ghosts[remap.remapID]
        else { return nil }
        if let mappedAs { entry.flags = mappedAs }
        let kind = FileStatus.kind(ofMode: ghost.mode)
        let maker = images.remaps.lazy.filter { $0.remapType == .ghost && $0.remapID == remap.remapID }
            .compactMap { images.files.regular($0.origID) }.first { $0.isTemporary }
        return UnnamedFile(
            entry: entry, ghost: ghost, id: remap.remapID, kind: kind, maker: kind == .regular ? maker : nil,
            directories: kind == .directory ? GhostDirectories.all(in: images) : [])
    }

    private var path: FilePath { Self.whole(entry.path) }

    static func whole(_ path: FilePath) -> FilePath {
        path.isAbsolute ? path : FilePath("/").appending(path.components)
    }

    var description: String { "\(path), which was deleted," }

    func obstacles(at site: RestoreSite) -> [Problem] {
        if kind == .regular || kind == .directory || kind == .fifo { return [] }
        return [
            Problem(
                .objectUnsupported,
                "the images hold a deleted file that is neither a regular one nor a directory or a pipe",
                object: .init(path: path.string), remedy: "Restore these images with CRIU")
        ]
    }

    /// Where the file can be opened, made before if need be.
    func place(at site: RestoreSite) throws(Problem) -> FilePath {
        if site.deletedFiles[id] == nil { try make(at: site) }
        guard let file = site.deletedFiles[id] else {
            throw Problem(
                .objectUnsupported, "the images lack the content of a deleted file",
                object: .init(path: path.string), remedy: "Copy the images again, all of them")
        }
        return FilePath("/proc/self/fd/\(file.descriptor.raw)")
    }

    private func make(at site: RestoreSite) throws(Problem) {
        switch kind {
        case .directory:
            for (id, made) in try GhostDirectories.make(directories) { site.deletedFiles[id] = made }
        case .fifo:
            site.deletedFiles[id] = SharedDescriptor(try GhostMaker(path: path, id: id).makePipe(ghost))
        default:
            guard let content = try site.images.ghost(id: id) else { return }
            let ghost = GhostMaker(path: path, id: id)
            if let maker, let made = try ghost.make(content, as: maker) {
                site.deletedFiles[id] = SharedDescriptor(made)
                site.temporaryFiles.insert(id)
            } else {
                site.deletedFiles[id] = SharedDescriptor(try ghost.make(content))
            }
        }
    }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        let place = try place(at: site)
        // O_TMPFILE has O_DIRECTORY in it, which means something else alone.
        let flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags))
            .subtracting([.create, .exclusive, .truncate, .noFollow])
            .subtracting(entry.isTemporary ? .temporaryFile : [])
        do throws(Errno) {
            let descriptor: OwnedDescriptor
            if entry.id == maker?.id, site.temporaryFiles.remove(id) != nil, let made = site.deletedFiles[id] {
                descriptor = try Files.duplicate(made.descriptor.raw)
                try setFlags(flags.rawValue.magnitude, of: descriptor.raw)
            } else {
                descriptor = try Files.open(place, flags)
            }
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

    /// - Returns: a descriptor to read with, through which others can be opened.
    func make(_ content: GhostContent) throws(Problem) -> OwnedDescriptor {
        try inItsDirectory("with room for \(content.size) bytes") { () throws(Errno) in
            let file = try NamelessFile.make(path, or: other)
            try fill(file.writer.raw, content)
            return try file.reader()
        }
    }

    /// The same by the description that the file was made by, its flags but those that fcntl(2) sets.
    ///
    /// - Returns: nil where the file system makes no such files.
    func make(_ content: GhostContent, as maker: RegFileEntry) throws(Problem) -> OwnedDescriptor? {
        let flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: maker.flags))
            .subtracting([.create, .exclusive, .truncate, .append, .direct, .nonBlocking])
        guard let file = try? Files.open(path.removingLastComponent(), flags, mode: 0o600) else { return nil }
        do throws(Errno) { try fill(file.raw, content) } catch {
            throw Problem(
                .fileUnopenable, "the file without a name cannot be made anew", object: .init(path: path.string),
                cause: .init(error, attempted: "write"),
                remedy: "See that \(path.removingLastComponent()) has room for \(content.size) bytes")
        }
        return file
    }

    /// - Returns: a descriptor with which both ends are open.
    func makePipe(_ entry: GhostFileEntry) throws(Problem) -> OwnedDescriptor {
        try inItsDirectory("that can hold named pipes") { () throws(Errno) in
            var name = path
            do throws(Errno) { try Files.makePipe(name, mode: 0o600) } catch {
                if error != .fileExists { throw error }
                name = other
                try Files.makePipe(name, mode: 0o600)
            }
            defer { try? Files.remove(name) }
            let pipe = try Files.open(name, [.readWrite, .nonBlocking, .noFollow])
            try entry.apply(to: pipe.raw)
            return pipe
        }
    }

    /// The name where another file has the old one.
    private var other: FilePath { FilePath(bytes: path.bytes + Array(".apus-\(id)".utf8)) }

    /// Does something while the directory of the file is there, though that may have gone, too.
    private func inItsDirectory(
        _ need: String, _ body: () throws(Errno) -> OwnedDescriptor
    ) throws(Problem) -> OwnedDescriptor {
        let directory = path.removingLastComponent()
        let made = try GhostDirectories.makeMissing(directory)
        defer { for one in made.reversed() { try? Files.remove(one, isDirectory: true) } }
        do throws(Errno) { return try body() } catch {
            throw Problem(
                .fileUnopenable, "the deleted file cannot be made anew", object: .init(path: path.string),
                cause: .init(error, attempted: "open, write, linkat"),
                remedy: "See that \(directory) is on a file system that can be written to, \(need)")
        }
    }

    private func fill(_ descriptor: Int32, _ content: GhostContent) throws(Errno) {
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
        try content.entry.apply(to: descriptor)
    }
}

extension GhostFileEntry {
    /// Gives a file the owner, the mode and the times.
    func apply(to descriptor: Int32) throws(Errno) {
        try Files.setOwner(descriptor, uid: uid, gid: gid)
        // Behind the owner, whose change takes set-id bits away.
        try Files.setMode(descriptor, mode & 0o7777)
        if hasAtim && hasMtim {
            try Files.setTimes(descriptor, accessed: .init(atim), modified: .init(mtim))
        }
    }
}

extension FileStatus.Time {
    fileprivate init(_ time: Timeval) {
        self.init(
            seconds: Int64(bitPattern: time.tvSec), nanoseconds: UInt32(clamping: min(time.tvUsec, 999_999)) * 1000)
    }
}

extension RegFileEntry {
    /// It was opened by O_TMPFILE.
    fileprivate var isTemporary: Bool {
        OpenFlags(rawValue: Int32(truncatingIfNeeded: flags)).isSuperset(of: .temporaryFile)
    }
}
