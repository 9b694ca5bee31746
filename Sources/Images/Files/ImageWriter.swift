public import Diagnostics
public import SwiftProtobuf
public import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A new image file being written.
///
/// Images hold the memory of processes, and with it passwords and keys: they are made readable for their owner alone
/// (mode 0600). An older file of the same name is removed and a new one made in its place, never written through: it
/// may be a link that somebody else laid.
public struct ImageWriter: ~Copyable {
    /// The open file, for calls such as splice(2) and pwrite(2). It belongs to this value.
    public let descriptor: Int32
    private let directory: ImageDirectory
    private let name: String
    /// Where the file is, for messages. (Of thousands of images it would be put together in vain.)
    public var path: FilePath { directory.path.appending(name) }

    private static let flushSize = 256 << 10
    private var pending: [UInt8] = []
    /// Nothing has gone to the kernel yet.
    private var isUntouched = true
    private var isOpen = true

    /// Makes the file, with nothing in it.
    ///
    /// - Throws: `image-unwritable`.
    public init(creating name: String, in directory: ImageDirectory) throws(Problem) {
        self.name = name
        self.directory = directory
        do throws(Errno) {
            descriptor = try Self.make(name, in: directory.descriptor)
        } catch {
            throw .unwritable(directory.path.appending(name), error, attempted: "openat(\"\(name)\", O_CREAT | O_EXCL)")
        }
        directory.forget(name)
    }

    private static func make(_ name: String, in directory: Int32) throws(Errno) -> Int32 {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
        do throws(Errno) {
            return try Posix.open(name, in: directory, flags: flags, mode: 0o600)
        } catch .fileExists {
            // Seldom: the directory has been cleared.
            try Posix.remove(name, in: directory)
            return try Posix.open(name, in: directory, flags: flags, mode: 0o600)
        }
    }

    /// Makes the file, with the header of its kind.
    ///
    /// - Throws: `image-unwritable`.
    public init(creating layout: ImageLayout, id: UInt64 = 0, in directory: ImageDirectory) throws(Problem) {
        try self.init(creating: layout, named: layout.fileName(id: id), in: directory)
    }

    /// Makes a file of some name, with the header of a kind.
    init(creating layout: ImageLayout, named name: String, in directory: ImageDirectory) throws(Problem) {
        try self.init(creating: name, in: directory)
        for word in layout.magics { append(word) }
        precondition(layout.header != .unknown, "old layouts are read, never written")
    }

    deinit {
        // Reached without `finish` only when the dump has failed: what is in the file does not matter any more.
        if isOpen { try? Posix.close(descriptor) }
    }

    /// Adds a message in its frame.
    ///
    /// - Throws: `image-unwritable`.
    public mutating func append(_ message: some Message) throws(Problem) {
        let content: [UInt8]
        do {
            content = try message.serializedBytes()
        } catch {
            // Serialising fails only for a message that lacks a required field, which is a mistake of the caller.
            preconditionFailure("\(type(of: message)) is incomplete: \(error)")
        }
        append(UInt32(content.count))
        try append(raw: content)
    }

    /// Adds raw bytes: the payload of the message before.
    ///
    /// - Throws: `image-unwritable`.
    public mutating func append(raw bytes: some Sequence<UInt8>) throws(Problem) {
        pending.append(contentsOf: bytes)
        if pending.count >= Self.flushSize { try flush() }
    }

    /// Hands everything to the kernel, so that others may write behind it through `descriptor`.
    ///
    /// - Throws: `image-unwritable`: a full disk, for example.
    public mutating func flush() throws(Problem) {
        let bytes = pending
        pending = []
        isUntouched = false
        do throws(Errno) {
            try Posix.write(descriptor, bytes)
        } catch {
            throw .unwritable(path, error, attempted: "write(\(bytes.count) bytes)")
        }
    }

    /// Writes what is left and closes the file. Some file systems report only now that the disk is full.
    ///
    /// - Throws: `image-unwritable`.
    public consuming func finish() throws(Problem) {
        try flush()
        isOpen = false
        do throws(Errno) {
            try Posix.close(descriptor)
        } catch {
            throw .unwritable(path, error, attempted: "close")
        }
    }

    /// The same for a file that nobody else writes to: the directory keeps in mind what its content is, if it is small, for the
    /// manifest.
    ///
    /// - Returns: how large it is and what its content is, of a small one.
    /// - Throws: `image-unwritable`.
    @discardableResult
    public consuming func finishWhole() throws(Problem) -> (digest: ImageDigest, size: UInt64)? {
        let whole = isUntouched && pending.count <= ImageDirectory.smallFile ? pending : nil
        let (directory, name) = (directory, name)
        try finish()
        guard let whole else { return nil }
        let (digest, size) = (ImageDigest(of: whole), UInt64(whole.count))
        directory.note(digest, size: size, of: name)
        return (digest, size)
    }

    private mutating func append(_ word: UInt32) {
        for shift in stride(from: 0, to: 32, by: 8) { pending.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
}

extension ImageDirectory {
    /// Writes a file of these messages. Nothing to write makes no file: an absent one says the same.
    ///
    /// - Throws: `image-unwritable`.
    public func write<Entry: Message>(
        _ messages: [Entry], as kind: ImageKind<Entry>, id: UInt64 = 0
    ) throws(Problem) {
        if messages.isEmpty { return }
        var writer = try ImageWriter(creating: kind.layout, id: id, in: self)
        for message in messages { try writer.append(message) }
        try writer.finishWhole()
    }

    /// Writes a file of messages, each with the raw bytes behind it.
    ///
    /// - Throws: `image-unwritable`.
    public func write<Entry: Message>(
        payloads: [(entry: Entry, payload: [UInt8])], as kind: ImageKind<Entry>, id: UInt64 = 0
    ) throws(Problem) {
        if payloads.isEmpty { return }
        var writer = try ImageWriter(creating: kind.layout, id: id, in: self)
        for (entry, payload) in payloads {
            try writer.append(entry)
            try writer.append(raw: payload)
        }
        try writer.finishWhole()
    }
}

extension Problem {
    static func unwritable(_ path: FilePath, _ error: Errno, attempted: String) -> Problem {
        let remedy =
            switch error {
            case .noSpace, Errno(rawValue: EDQUOT):
                "Make room on the disk, or name a directory on another one with --images-dir"
            case .readOnlyFileSystem, .permissionDenied, .notPermitted:
                "Name a directory that can be written to with --images-dir"
            default: "Check the disk or the network file system that holds the image directory"
            }
        return .image(
            .imageUnwritable, path, "the image cannot be written", cause: .init(error, attempted: attempted),
            remedy: remedy)
    }
}
