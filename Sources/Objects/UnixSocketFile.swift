internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// The file that a Unix socket is bound to: the name alone does not say where it is, and whether it is there still.
struct UnixSocketFile {
    let status: FileStatus
    /// From where the name leads to the file, where it is no absolute path.
    let directory: FilePath?
    var isDeleted: Bool { status.linkCount == 0 }

    /// Looks at the file of a socket; nil for one without a name in the file system.
    ///
    /// - Throws: `file-unreachable` where the name does not lead to the file any more.
    init?(_ seen: SeenDescriptor, _ report: UnixSocketReport) throws(Problem) {
        guard let name = report.name, let first = name.first, first != 0 else { return nil }
        let path = FilePath(bytes: name.prefix { $0 != 0 })
        let place: FilePath
        do throws(Errno) {
            let socket = try SocketIdentity.open(seen.number, of: seen.pid)
            let file = try Sockets.file(of: socket.raw)
            status = try Files.status(ofDescriptor: file.raw)
            place = FilePath(bytes: try Files.readLink(FilePath("/proc/self/fd/\(file.raw)")))
        } catch {
            throw Problem(
                .objectUnreadable, "it cannot be told to which file the socket is bound", object: seen.object,
                cause: .init(error, attempted: "ioctl(SIOCUNIXFILE)"),
                remedy: "Run Apus as root (CAP_NET_ADMIN) on Linux 4.12 or later")
        }
        directory = path.isAbsolute ? nil : Self.directory(of: path, at: place)
        if isDeleted && (path.isAbsolute || directory != nil) { return }
        let whole = directory.map { $0.appending(path.components) } ?? path
        let found = try? Files.status(of: whole)
        if found?.device == status.device && found?.inode == status.inode { return }
        throw Problem(
            .fileUnreachable,
            "the socket is bound to \(place), and its name, \(path), does not lead there",
            object: seen.object,
            remedy: "Sockets that were bound in another root directory, or renamed since, cannot be carried:"
                + " start the program anew without that")
    }

    /// The directory in which a relative name was bound.
    private static func directory(of name: FilePath, at place: FilePath) -> FilePath? {
        var place = place
        let deleted = " (deleted)"
        if let last = place.lastComponent?.string, last.hasSuffix(deleted),
            let plain = FilePath.Component(String(last.dropLast(deleted.count)))
        {
            place = place.removingLastComponent().appending(plain)
        }
        guard place.components.count >= name.components.count,
            place.components.suffix(name.components.count).elementsEqual(name.components)
        else { return nil }
        for _ in name.components { place.removeLastComponent() }
        return place
    }

    func add(to entry: inout UnixSkEntry) {
        entry.filePerms.mode = UInt32(status.mode)
        entry.filePerms.uid = status.uid
        entry.filePerms.gid = status.gid
        entry.directory = directory
        if isDeleted { entry.deleted = true }
    }

    /// A name for people: abstract ones begin with an at sign, as in ss(8).
    static func text(_ name: [UInt8]) -> String {
        let isAbstract = name.first == 0
        let bytes = isAbstract ? name.dropFirst() : name.prefix { $0 != 0 }
        return (isAbstract ? "@" : "") + String(decoding: bytes, as: UTF8.self)
    }
}
