public import Diagnostics
internal import Glibc
internal import Images
internal import Linux
public import SystemPackage

/// Unpacks a bundle into a directory that was made for it.
///
/// Nothing in a bundle is trusted. It must be what `BundleWriter` makes: files, directories and links of Apus' own, in
/// their order, each once, of the sizes that the manifest says, with their checksums at the end. Nothing is written
/// outside of the directory whatever names say, and nothing for which there is no room.
public struct BundleReader {
    private let source: any ByteSource
    private let cursor: ByteCursor
    private let directory: ImageDirectory
    private let keepsPages: Bool
    private var sizes: [String: UInt64] = [:]
    private var digests: [String: ImageDigest] = [:]
    private var missing: Set<String> = []
    private var directories: Set<String> = [""]
    private var unlisted = 0
    private var previous = ""
    private var sums = ""

    /// Unpacks a bundle.
    ///
    /// - Parameters:
    ///   - descriptor: where it is read from, to its end.
    ///   - name: what it is called in messages.
    ///   - keys: what opens it if it is encrypted.
    ///   - keepsPages: false leaves out the pages of memory, but for small files of them; all files are there with their sizes.
    /// - Returns: the directory in which the images are.
    /// - Throws: the codes of bundles.
    public static func unpack(
        _ descriptor: Int32, named name: String, keys: [AgeKey], into scratch: ScratchDirectory,
        keepsPages: Bool = true
    ) throws(Problem) -> FilePath {
        let path = try scratch.makeDirectory("images")
        do throws(Problem) {
            var reader = try BundleReader(
                DescriptorSource(descriptor, named: name), keys: keys, into: path, keepsPages: keepsPages)
            try reader.run()
        } catch {
            var problem = error
            if problem.object.path == nil { problem.object.path = name }
            throw problem
        }
        return path
    }

    init(_ raw: any ByteSource, keys: [AgeKey], into path: FilePath, keepsPages: Bool) throws(Problem) {
        let outer = PeekedSource(raw)
        if try outer.first(4).isEmpty { throw .truncated() }
        let opened = try AgeFormat.source(of: outer, keys: keys)
        source = try Compression.source(of: PeekedSource(opened))
        cursor = ByteCursor(source)
        directory = try ImageDirectory(opening: path)
        self.keepsPages = keepsPages
    }

    mutating func run() throws(Problem) {
        try readManifest()
        for _ in 0..<BundleFormat.mostMembers {
            guard let header = try TarHeader.read(try cursor.exactly(TarHeader.blockSize)) else { throw .truncated() }
            if header.path == BundleFormat.last { return try readEnd(header) }
            try checkOrder(header.path)
            switch header.kind {
            case .directory:
                try countUnlisted(header)
                try makeDirectory(header.path)
            case .link:
                try countUnlisted(header)
                try makeLink(header)
            case .file: try readFile(header)
            }
        }
        throw .invalid("the bundle has more members than any dump")
    }

    // MARK: The beginning and the end

    /// The manifest comes first, so that what follows can be held against it.
    private mutating func readManifest() throws(Problem) {
        let block = try cursor.upTo(TarHeader.blockSize)
        // Where it is cut within its first block, that at least begins with the name.
        let name = Array(BundleFormat.first.utf8)
        if block.count < TarHeader.blockSize, block.prefix(name.count).elementsEqual(name.prefix(block.count)) {
            throw .truncated()
        }
        guard let header = try? TarHeader.read(block),
            header.path == BundleFormat.first, header.kind == .file, header.size <= 256 << 20
        else { throw .noBundle() }
        try copy(header)
        guard let manifest = try directory.manifest() else { throw .invalid("the manifest is empty") }
        var total: UInt64 = 0
        for file in manifest.files {
            guard sizes.updateValue(file.size, forKey: file.name) == nil, file.size <= UInt64(Int64.max) else {
                throw .invalid("the manifest lists a file twice, or one that cannot be", at: file.name.printable)
            }
            missing.insert(file.name)
            digests[file.name] = file.digest
            if needsRoom(file.name, file.size) {
                let (sum, overflow) = total.addingReportingOverflow(file.size)
                total = overflow ? .max : sum
            }
        }
        try checkRoom(total)
    }

    private mutating func readEnd(_ header: TarHeader) throws(Problem) {
        guard header.kind == .file, header.size == UInt64(sums.utf8.count) else {
            throw .invalid("the list of checksums is not that of the files before it")
        }
        guard try cursor.exactly(sums.utf8.count) == Array(sums.utf8) else {
            throw .changed()
        }
        if let name = missing.min() { throw .invalid("a file that the manifest lists is missing", at: name.printable) }
        // To the very end: who writes into a pipe is ended before it is closed, and a checksum may follow.
        while true {
            let rest = try cursor.some(atMost: pieceSize)
            if rest.isEmpty { return }
            guard rest.allSatisfy({ $0 == 0 }) else { throw .invalid("something stands behind the end of the bundle") }
        }
    }

    // MARK: Members

    /// Each name once, in order: so no member can replace another, and none comes before its directory.
    private mutating func checkOrder(_ path: String) throws(Problem) {
        guard previous.utf8.lexicographicallyPrecedes(path.utf8), path != BundleFormat.first else {
            throw .invalid("a member is not in its place, or there twice", at: path)
        }
        previous = path
        guard directories.contains(Self.parent(of: path).path) else {
            throw .invalid("a member is in a directory that is none", at: path)
        }
    }

    private mutating func countUnlisted(_ header: TarHeader) throws(Problem) {
        unlisted += 1
        if unlisted > BundleFormat.mostUnlisted {
            throw .invalid("the bundle has more members that its manifest does not list than any dump", at: header.path)
        }
    }

    private mutating func makeDirectory(_ path: String) throws(Problem) {
        let (parent, name) = Self.parent(of: path)
        try within(parent, path) { directory throws(Errno) in
            try Files.makeDirectory(FilePath(name), mode: 0o700, at: directory)
        }
        directories.insert(path)
    }

    /// The one link that there is: from a directory to the pages that its processes share.
    private func makeLink(_ header: TarHeader) throws(Problem) {
        let (parent, name) = Self.parent(of: header.path)
        guard name == ImageDirectory.parentLink, header.target == ImageDirectory.sharedName else {
            throw .invalid("a symbolic link is in the bundle that no dump has", at: header.path)
        }
        try within(parent, header.path) { directory throws(Errno) in
            try Files.makeLink(FilePath(name), to: FilePath(header.target), at: directory)
        }
    }

    private mutating func readFile(_ header: TarHeader) throws(Problem) {
        if let size = sizes[header.path] {
            guard header.size == size else {
                throw .invalid(
                    "the file has \(header.size) bytes, but had \(size) when it was dumped", at: header.path)
            }
            missing.remove(header.path)
        } else {
            try countUnlisted(header)
            try checkRoom(header.size)
        }
        try copy(header)
    }

    private mutating func copy(_ header: TarHeader) throws(Problem) {
        let (parent, name) = Self.parent(of: header.path)
        var made: Int32 = -1
        try within(parent, header.path) { directory throws(Errno) in
            made = try Files.open(FilePath(name), [.writeOnly, .create, .exclusive, .noFollow], at: directory).release()
        }
        let file = OwnedDescriptor(owning: made)
        let isKept = needsRoom(header.path, header.size)
        // Against the list at the end, and against the manifest.
        var hasher = ContentHasher()
        var image = ImageHasher()
        let wanted = digests[header.path]
        var done: UInt64 = 0
        while done < header.size {
            let piece = try cursor.some(atMost: Int(min(UInt64(pieceSize), header.size - done)))
            if piece.isEmpty { throw .truncated() }
            hasher.update(piece)
            if wanted != nil { image.update(piece) }
            if isKept, !Self.isHole(piece) { try write(piece, to: file.raw, at: done) }
            done += UInt64(piece.count)
        }
        do throws(Errno) { try Files.truncate(file.raw, to: header.size) } catch {
            throw full(error, "ftruncate")
        }
        guard try cursor.exactly(TarHeader.padding(behind: header.size)).allSatisfy({ $0 == 0 }) else {
            throw .invalid("something stands behind a file", at: header.path)
        }
        if let wanted, wanted != image.finish() { throw .changed(at: header.path) }
        sums += BundleFormat.line(hasher.finish(), header.path)
    }

    private func write(_ piece: [UInt8], to file: Int32, at place: UInt64) throws(Problem) {
        do throws(Errno) { try Files.write(file, piece, at: place) } catch { throw full(error, "write") }
    }

    /// What is zero takes no room.
    private static func isHole(_ piece: [UInt8]) -> Bool {
        piece.first == 0 && piece.last == 0 && piece.count >= 4096 && piece.allSatisfy { $0 == 0 }
    }

    /// Whether the content of a file is kept. Small ones are, as their digests are looked at.
    private func needsRoom(_ path: String, _ size: UInt64) -> Bool {
        keepsPages || size <= ImageDirectory.smallFile || !Self.parent(of: path).name.hasPrefix("pages-")
    }

    // MARK: Places

    private static func parent(of path: String) -> (path: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return ("", path) }
        return (String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    /// Does something in a directory of the bundle, to which no symbolic link leads.
    private func within(
        _ parent: String, _ path: String, _ body: (Int32) throws(Errno) -> Void
    ) throws(Problem) {
        do throws(Errno) {
            var place = try Files.open(".", .directory, at: directory.descriptor)
            for name in parent.split(separator: "/") {
                place = try Files.open(FilePath(String(name)), [.directory, .noFollow], at: place.raw)
            }
            try body(place.raw)
        } catch {
            throw full(error, "openat(\"\(path)\")")
        }
    }

    private func checkRoom(_ bytes: UInt64) throws(Problem) {
        guard let room = ScratchDirectory.room(in: directory.descriptor), room < bytes else { return }
        throw Problem(
            .bundleSpace,
            "there is no room here for what is in the bundle: it takes \(bytes) bytes, and \(room) can be used (of what is free"
                + " \(ScratchDirectory.reserve >> 20) MiB are left to others)",
            object: .init(path: directory.path.string), remedy: "Name a place with more room with --work-dir")
    }

    private func full(_ error: Errno, _ attempted: String) -> Problem {
        Problem(
            error == .noSpace ? .bundleSpace : .bundleUnwritable, "the bundle cannot be unpacked here",
            object: .init(path: directory.path.string), cause: .init(error, attempted: attempted),
            remedy: "Name another place with --work-dir")
    }
}
