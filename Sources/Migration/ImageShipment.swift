internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// Sends the files of an image directory, and takes them.
///
/// A frame has the length of a name and the name, the size of the file, the place of the piece in it, and the piece. Of a file with holes only
/// what is in it travels. Copies of files (`files/`) travel once.
final class ImageShipment {
    private static let pieceSize = 1 << 20
    /// In directories.
    private static let deepest = 70
    private var sentCopies: Set<String> = []

    /// Sends all files.
    ///
    /// - Throws: `image-unreadable`; what the connection throws.
    func send(_ directory: ImageDirectory, in parcels: Parcels) throws(Problem) {
        try send(directory, prefix: "", in: parcels, depth: 0)
    }

    private func send(_ directory: ImageDirectory, prefix: String, in parcels: Parcels, depth: Int) throws(Problem) {
        for name in try directory.fileNames() where name != "parent" {
            let path = prefix + name
            if name == ImageDirectory.sharedName {
                if depth < Self.deepest, let shared = try directory.shared() {
                    try send(shared, prefix: path + "/", in: parcels, depth: depth + 1)
                }
            } else if name == ImageDirectory.copiesName {
                guard let copies = try directory.copies() else { continue }
                for copy in try copies.fileNames() where sentCopies.insert(copy).inserted {
                    try send(copy, of: copies, as: path + "/" + copy, in: parcels)
                }
            } else if name.hasSuffix(".img") || name.hasSuffix(".json") {
                try send(name, of: directory, as: path, in: parcels)
            }
        }
    }

    private func send(_ name: String, of directory: ImageDirectory, as path: String, in parcels: Parcels)
        throws(Problem)
    {
        func asked<R: ~Copyable>(_ body: () throws(Errno) -> R) throws(Problem) -> R {
            do throws(Errno) { return try body() } catch {
                throw Problem(
                    .imageUnreadable, "the image cannot be read",
                    object: .init(path: directory.path.appending(name).string),
                    cause: .init(error, attempted: "open, pread"), remedy: "See that nobody else works in the directory"
                )
            }
        }
        let file = try asked { () throws(Errno) in
            try Files.open(FilePath(name), [.readOnly, .noFollow], at: directory.descriptor)
        }
        let descriptor = file.raw
        let size = try asked { () throws(Errno) in try Files.status(ofDescriptor: descriptor).size }
        var ranges = try asked { () throws(Errno) in try Files.dataRanges(of: descriptor, size: size) }
        // The file is made by its first piece.
        if ranges.isEmpty { ranges = [0..<0] }
        for range in ranges {
            var position = range.lowerBound
            repeat {
                let count = min(Int(range.upperBound - position), Self.pieceSize)
                let bytes = try asked { () throws(Errno) in try Files.read(descriptor, count: count, at: position) }
                var head: [UInt8] = []
                head.append(littleEndian: UInt32(path.utf8.count))
                head += Array(path.utf8)
                head.append(littleEndian: size)
                head.append(littleEndian: position)
                try parcels.send(file: head + bytes)
                position += UInt64(bytes.count)
                if bytes.isEmpty { break }
            } while position < range.upperBound
        }
    }

    /// Takes the body of a frame.
    ///
    /// - Throws: `protocol` for a name that no image has; `image-unwritable`.
    static func take(_ body: [UInt8], into directory: ImageDirectory) throws(Problem) {
        var reader = BodyReader(body)
        let name = try reader.bytes(Int(try reader.word32()))
        let (size, position) = (try reader.word64(), try reader.word64())
        guard position <= size, UInt64(reader.rest) <= size - position else { throw BodyReader.malformed }
        let bytes = try reader.bytes(reader.rest)
        let (place, file) = try place(of: String(decoding: name, as: UTF8.self), in: directory)
        do throws(Errno) {
            let opened = try Files.open(
                FilePath(file), [.writeOnly, .create, .noFollow], mode: 0o600, at: place.descriptor)
            if try Files.status(ofDescriptor: opened.raw).size != size { try Files.truncate(opened.raw, to: size) }
            if !bytes.isEmpty { try Files.write(opened.raw, bytes, at: position) }
        } catch {
            throw Problem(
                .imageUnwritable, "an image that comes cannot be written",
                object: .init(path: place.path.appending(file).string), cause: .init(error, attempted: "open, pwrite"),
                remedy: "Make room there in \(directory.path.removingLastComponent().removingLastComponent())")
        }
    }

    /// The directory for a name that has come, and what it is called there. Only names that images have lead anywhere.
    private static func place(
        of name: String, in directory: ImageDirectory
    ) throws(Problem) -> (directory: ImageDirectory, file: String) {
        var parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let file = parts.popLast(), !file.isEmpty, !file.hasPrefix("."), parts.count <= deepest,
            file.unicodeScalars.allSatisfy({
                ("a"..."z").contains($0) || ("0"..."9").contains($0) || "-._".unicodeScalars.contains($0)
            })
        else { throw BodyReader.malformed }
        // What is wrong is found before anything is made.
        let isShared = parts.allSatisfy { $0 == ImageDirectory.sharedName }
        guard isShared || parts == [ImageDirectory.copiesName] else { throw BodyReader.malformed }
        if !isShared { return (try directory.makeCopies(), file) }
        var place = directory
        for _ in parts {
            if let shared = try place.shared() { place = shared } else { place = try place.makeShared() }
        }
        return (place, file)
    }
}
