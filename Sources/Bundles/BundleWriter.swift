public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage

/// Packs an image directory into a bundle.
///
/// In two steps: what is written by `pack` is no bundle yet, and nobody takes it for one. `seal` writes its end, waits
/// for the disk or the reader, and gives it its name: the instant in which the bundle comes to be.
public final class BundleWriter {
    private let target: BundleTarget
    private let scratch: ScratchDirectory?
    /// The file that gets the bundle's name at the end. It belongs to this object.
    private let file: Int32?
    private let output: DescriptorSink
    private let sink: any ByteSink
    private var sums = ""
    private let now: Int64

    /// - Parameter now: the time that members get, in seconds since 1970.
    /// - Throws: `bundle-unwritable`.
    public init(_ target: BundleTarget, now: Int64) throws(Problem) {
        self.target = target
        self.now = now
        switch target.place {
        case .descriptor(let number):
            scratch = nil
            file = nil
            let isFile = (try? Files.status(ofDescriptor: number))?.kind == .regular
            output = DescriptorSink(number, named: "-", isFile: isFile)
        case .file(let path):
            // Beside its place, so that a rename is all that it takes to get there.
            let scratch = try ScratchDirectory(in: BundleTarget.directory(of: path))
            self.scratch = scratch
            do throws(Errno) {
                let made = try Files.open(scratch.path.appending("bundle"), [.writeOnly, .create, .exclusive])
                output = DescriptorSink(made.raw, named: path.string, isFile: true)
                file = made.release()
            } catch {
                throw .unwritable(path.string, error, attempted: "open(O_CREAT)")
            }
        }
        let outer: any ByteSink = try target.lock?.sink(into: output) ?? output
        sink = try target.compression.sink(into: outer)
    }

    deinit {
        // Where the bundle was to be kept, fsync(2) has told of late failures.
        if let file { try? Files.close(file) }
    }

    /// Packs all that is in the directory.
    ///
    /// - Parameter progress: told the bytes of images that are packed.
    /// - Throws: `bundle-unwritable`, `image-unreadable`.
    public func pack(_ directory: ImageDirectory, _ progress: Progress) throws(Problem) {
        // The list of another bundle, out of which the directory came, says nothing of this one.
        let paths = try Self.members(of: directory.descriptor, below: "", depth: 0)
            .filter { $0 != BundleFormat.last }
        guard paths.contains(BundleFormat.first) else {
            throw .invalid("a directory without a manifest is no complete dump", at: directory.path.string)
        }
        let others = paths.filter { $0 != BundleFormat.first }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for path in [BundleFormat.first] + others {
            try Cancellation.check()
            try add(path, directory, progress)
        }
    }

    /// Makes the bundle whole.
    ///
    /// - Throws: `bundle-unwritable`, `bundle-exists`. There is no bundle then.
    public func seal() throws(Problem) {
        let text = Array(sums.utf8)
        try write(.init(kind: .file, path: BundleFormat.last, size: UInt64(text.count), modified: now))
        try sink.write(text + zeros(TarHeader.padding(behind: UInt64(text.count)) + 2 * TarHeader.blockSize))
        try sink.finish()
        switch target.place {
        case .descriptor(let number):
            switch (try? Files.status(ofDescriptor: number))?.kind {
            case .fifo: try output.drain()
            case .regular: try sync(number, "-")
            case .socket, .characterDevice, .blockDevice, .directory, .symbolicLink, .anonymous, nil: break
            }
        case .file(let path): try putInPlace(path)
        }
    }

    private func putInPlace(_ path: FilePath) throws(Problem) {
        guard let file, let scratch else { preconditionFailure("a bundle in a file has one") }
        try sync(file, path.string)
        do throws(Errno) {
            if target.overwrites {
                try Files.rename(scratch.path.appending("bundle"), to: path)
            } else {
                do throws(Errno) {
                    try Files.link(file, as: path)
                } catch  where error == .notPermitted || error == .notSupported || error == .noSuchFileOrDirectory {
                    // A file system without hard links.
                    if (try? Files.status(of: path, followLinks: false)) != nil { throw Errno.fileExists }
                    try Files.rename(scratch.path.appending("bundle"), to: path)
                }
            }
        } catch {
            if error == .fileExists { throw BundleTarget.exists(path) }
            throw .unwritable(path.string, error, attempted: "linkat, renameat")
        }
        // The name is there. That it is on the disk, too, is asked for; a file system that cannot say so has no answer.
        if let parent = try? Files.open(BundleTarget.directory(of: path), .directory) { try? Files.sync(parent.raw) }
        scratch.remove()
    }

    private func sync(_ descriptor: Int32, _ name: String) throws(Problem) {
        do throws(Errno) { try Files.sync(descriptor) } catch { throw .unwritable(name, error, attempted: "fsync") }
    }

    // MARK: Members

    private static func members(of directory: Int32, below prefix: String, depth: Int) throws(Problem) -> [String] {
        var found: [String] = []
        do throws(Errno) {
            for entry in try Files.entries(of: ".", at: directory) {
                let name = FilePath(bytes: entry.name)
                found.append(prefix + name.string)
                let kind = try Files.status(of: name, at: directory, followLinks: false).kind
                guard kind == .directory, depth < 64 else { continue }
                let inner = try Files.open(name, [.directory, .noFollow], at: directory)
                do throws(Problem) {
                    found += try members(of: inner.raw, below: prefix + name.string + "/", depth: depth + 1)
                } catch {
                    throw error.cause?.errno ?? .ioError
                }
            }
        } catch {
            throw .unreadable(prefix, error, attempted: "getdents64, openat")
        }
        return found
    }

    private func add(_ path: String, _ directory: ImageDirectory, _ progress: Progress) throws(Problem) {
        guard TarHeader.isGood(path) else { throw .invalid("a file of this name cannot be in a bundle", at: path) }
        let kind: FileStatus.Kind?
        var target = ""
        do throws(Errno) {
            kind = try Files.status(of: FilePath(path), at: directory.descriptor, followLinks: false).kind
            if kind == .symbolicLink {
                target = String(decoding: try Files.readLink(FilePath(path), at: directory.descriptor), as: UTF8.self)
            }
        } catch {
            throw .unreadable(path, error, attempted: "statx, readlinkat")
        }
        switch kind {
        case .directory: try write(.init(kind: .directory, path: path, modified: now))
        case .symbolicLink: try write(.init(kind: .link, path: path, target: target, modified: now))
        case .regular: try add(file: path, directory, progress)
        case .characterDevice, .blockDevice, .fifo, .socket, .anonymous, nil:
            throw .invalid("this is neither a file nor a directory, and cannot be in a bundle", at: path)
        }
    }

    private func add(file path: String, _ directory: ImageDirectory, _ progress: Progress) throws(Problem) {
        guard let file = try directory.file(named: path) else {
            throw .invalid("the file is not there any more", at: path)
        }
        try write(.init(kind: .file, path: path, size: file.size, modified: now))
        var hasher = ContentHasher()
        var done: UInt64 = 0
        while done < file.size {
            let piece: [UInt8]
            do throws(Errno) {
                piece = try Files.read(file.descriptor, count: Int(min(UInt64(pieceSize), file.size - done)))
            } catch {
                throw .unreadable(path, error, attempted: "read")
            }
            if piece.isEmpty { throw .invalid("the file has become shorter while it was packed", at: path) }
            hasher.update(piece)
            try sink.write(piece)
            done += UInt64(piece.count)
            progress.update("packing \(path)", done: done, of: file.size, unit: .bytes)
        }
        let padding = TarHeader.padding(behind: file.size)
        if padding > 0 { try sink.write(zeros(padding)) }
        sums += BundleFormat.line(hasher.finish(), path)
    }

    private func write(_ header: TarHeader) throws(Problem) {
        guard let bytes = header.bytes else {
            throw .invalid("a name is too long to be in a bundle", at: header.path)
        }
        try sink.write(bytes)
    }

    private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
}
