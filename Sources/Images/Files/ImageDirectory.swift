public import Diagnostics
public import SwiftProtobuf
internal import Synchronization
public import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A directory of image files, held open: everything is reached relative to the descriptor, so that a directory moved
/// or replaced meanwhile does not change what is read.
///
/// Nothing in it is trusted. Reading never follows a symbolic link (but for `parent`, which is one by its nature).
public final class ImageDirectory: Sendable {
    /// The path by which it was opened, for messages.
    public let path: FilePath
    /// The open directory. It belongs to this object.
    public let descriptor: Int32
    /// The compressed pages files of the page maps that were read so far.
    private let compressed = Mutex<[UInt32: (pages: CompressedPages, expanded: ImageFile?)]>([:])

    /// What the images are that were written last, by their names.
    private let written = Mutex<[String: (digest: ImageDigest, size: UInt64)]>([:])

    /// The directory with shared pages that was made through this object: it knows what it has written.
    private let made = Mutex<ImageDirectory?>(nil)
    var madeShared: ImageDirectory? {
        get { made.withLock { $0 } }
        set { made.withLock { $0 = newValue } }
    }

    /// Opens an existing directory.
    ///
    /// - Throws: `image-missing` where there is none, `image-unreadable`.
    public convenience init(opening path: FilePath) throws(Problem) {
        try self.init(opening: path, in: AT_FDCWD, path: path)
    }

    /// Opens a directory by a descriptor that the caller keeps: `/proc/PID/fd/N` of an RPC client, for example.
    public convenience init(duplicating descriptor: Int32, path: FilePath) throws(Problem) {
        try self.init(opening: ".", in: descriptor, path: path)
    }

    /// Takes over a descriptor.
    init(owning descriptor: Int32, path: FilePath) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Opens a directory within this one, that no link leads to.
    func directory(named name: String) throws(Errno) -> ImageDirectory {
        let opened = try Posix.open(name, in: descriptor, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        return ImageDirectory(owning: opened, path: path.appending(name))
    }

    private init(opening name: FilePath, in directory: Int32, path: FilePath) throws(Problem) {
        self.path = path
        do throws(Errno) {
            descriptor = try Posix.open(name, in: directory, flags: O_RDONLY | O_DIRECTORY)
        } catch {
            let isMissing = error == .noSuchFileOrDirectory
            if error == .notDirectory {
                throw .image(
                    .imageUnreadable, path, "this is a file, and images are in a directory",
                    remedy: "Name the directory that holds the images with --images-dir")
            }
            throw .image(
                isMissing ? .imageMissing : .imageUnreadable, path,
                isMissing ? "there is no such image directory" : "the image directory cannot be opened",
                cause: .init(error, attempted: "open(\"\(path)\", O_DIRECTORY)"),
                remedy: isMissing
                    ? "Name the directory that holds the images with --images-dir; for a dump, make it (mkdir)"
                    : "Run as a user who may read the image directory")
        }
    }

    deinit {
        // A directory has no writes of its own that could fail late.
        try? Posix.close(descriptor)
    }

    /// Takes note of what was written into an image.
    func note(_ digest: ImageDigest, size: UInt64, of name: String) {
        written.withLock { $0[name] = (digest, size) }
    }

    /// Nothing is known any more of an image that is made anew.
    func forget(_ name: String) { written.withLock { _ = $0.removeValue(forKey: name) } }

    /// What was written into an image, where that is known; whoever has changed it since has to have changed its size.
    func writtenDigest(of name: String, size: UInt64) -> ImageDigest? {
        written.withLock { all in all[name].flatMap { $0.size == size ? $0.digest : nil } }
    }

    /// Takes note of how the pages of a page map are compressed.
    ///
    /// - Returns: false where that was heard otherwise before. (Several processes with one memory have the same page map.)
    func note(_ pages: CompressedPages, of id: UInt32) -> Bool {
        compressed.withLock { all in
            if let known = all[id] { return known.pages == pages }
            all[id] = (pages, nil)
            return true
        }
    }

    /// How the pages of a pages file are compressed, and the file that has them as they were, where it was made already; nil
    /// where they are not compressed.
    func compressedPages(_ id: UInt32) -> (pages: CompressedPages, expanded: ImageFile?)? {
        compressed.withLock { $0[id] }
    }

    /// The numbers of all that are.
    var compressedPageFiles: [UInt32] { compressed.withLock { $0.keys.sorted() } }

    /// Keeps a file that was made, or gives the one that another thread has made meanwhile.
    func keep(_ file: ImageFile, as id: UInt32) -> ImageFile {
        compressed.withLock { all in
            if let other = all[id]?.expanded { return other }
            all[id]?.expanded = file
            return file
        }
    }

    /// The names of all files in the directory, sorted.
    public func fileNames() throws(Problem) -> [String] {
        do throws(Errno) {
            return try Posix.names(in: descriptor).sorted()
        } catch {
            throw .image(
                .imageUnreadable, path, "the image directory cannot be listed",
                cause: .init(error, attempted: "readdir"), remedy: "Run as a user who may read the image directory")
        }
    }
}

// MARK: - Reading

extension ImageDirectory {
    /// Opens a file by its name; nil where there is none.
    ///
    /// - Throws: `image-unreadable`, `image-not-regular`.
    public func file(named name: String) throws(Problem) -> ImageFile? {
        try ImageFile.open(name, in: self)
    }

    /// Opens a file of raw bytes; nil where there is none.
    ///
    /// - Throws: `image-unreadable`, `image-not-regular`.
    public func file(_ raw: RawImage, id: UInt64) throws(Problem) -> ImageFile? {
        try file(named: raw.layout.fileName(id: id))
    }

    /// Reads all messages of a file and where their payloads are. A file that is absent holds nothing.
    ///
    /// - Throws: `image-bad-magic`, `image-truncated`, `image-bad-frame`, `image-unreadable`, `image-not-regular`.
    public func records<Entry: Message>(
        _ kind: ImageKind<Entry>, id: UInt64 = 0
    ) throws(Problem) -> [ImageRecord<Entry>] {
        guard let file = try file(named: kind.layout.fileName(id: id)) else { return [] }
        return try kind.records(in: file)
    }

    /// Reads all messages of a file. A file that is absent holds nothing.
    ///
    /// - Throws: as ``records(_:id:)``.
    public func messages<Entry: Message>(_ kind: ImageKind<Entry>, id: UInt64 = 0) throws(Problem) -> [Entry] {
        try records(kind, id: id).map(\.entry)
    }

    /// Reads the first message of a file that holds no more than one; nil where the file is absent or empty.
    ///
    /// - Throws: as ``records(_:id:)``.
    public func first<Entry: Message>(_ kind: ImageKind<Entry>, id: UInt64 = 0) throws(Problem) -> Entry? {
        try messages(kind, id: id).first
    }

    /// Reads the message of a file that must be there.
    ///
    /// - Throws: `image-missing`, and as ``records(_:id:)``.
    public func required<Entry: Message>(_ kind: ImageKind<Entry>, id: UInt64 = 0) throws(Problem) -> Entry {
        if let entry = try first(kind, id: id) { return entry }
        throw .image(
            .imageMissing, path.appending(kind.layout.fileName(id: id)), "the image is missing, or holds nothing")
    }

    /// Reads all messages with the raw bytes behind each. For files whose payloads are small by nature; a ghost file is
    /// better read piece by piece, from the ranges that ``records(_:id:)`` gives.
    ///
    /// - Throws: as ``records(_:id:)``.
    public func payloads<Entry: Message>(
        _ kind: ImageKind<Entry>, id: UInt64 = 0
    ) throws(Problem) -> [(entry: Entry, payload: [UInt8])] {
        guard let file = try file(named: kind.layout.fileName(id: id)) else { return [] }
        return try kind.records(in: file).map { record throws(Problem) in
            let bytes = try file.bytes(at: record.payload.lowerBound, count: UInt64(record.payload.count))
            return (record.entry, bytes)
        }
    }
}
