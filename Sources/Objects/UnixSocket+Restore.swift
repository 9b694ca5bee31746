public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A Unix socket.
public struct UnixSocketEnd: Resource {
    let entry: UnixSkEntry
    let all: UnixSocketImages
    private let role: UnixSocketRole
    private let supplement: Supplement

    /// - Throws: `object-unsupported` for one that could never have been.
    public init(_ entry: UnixSkEntry, in all: UnixSocketImages, _ supplement: Supplement) throws(Problem) {
        self.entry = entry
        self.all = all
        self.supplement = supplement
        _ = try SocketSupplement(supplement[.socket, entry.id], id: entry.id)
        role = try UnixSocketRole(entry, in: all)
    }

    public var description: String {
        let queued = all.packets[entry.id]?.reduce(0) { $0 + $1.payload.count } ?? 0
        return Self.text(entry) + (queued > 0 ? " with \(queued) bytes queued" : "")
    }

    static func text(_ entry: UnixSkEntry) -> String {
        let type =
            switch Int32(bitPattern: entry.type) {
            case Sockets.stream: "stream"
            case Sockets.datagram: "datagram"
            case Sockets.sequencedPackets: "sequenced packet"
            default: "unknown"
            }
        let name = entry.nameBytes.isEmpty ? "" : " \(UnixSocketFile.text(entry.nameBytes))"
        let peer = entry.peer == 0 ? "" : " connected to \(entry.peer)"
        return "Unix \(type) socket \(entry.ino)\(name)\(peer)"
    }

    /// Whether it gets its name by being bound: accepted ones get it otherwise.
    private var isBound: Bool {
        guard !entry.nameBytes.isEmpty, !entry.deleted else { return false }
        switch role {
        case .alone, .listening, .connecting, .client: return true
        case .pair: return entry.type == UInt32(bitPattern: Sockets.datagram)
        case .accepted, .orphan: return false
        }
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        guard isBound else { return [] }
        let name = UnixSocketFile.text(entry.nameBytes)
        if let occupant = site.unixSockets.occupant(of: entry) {
            return [
                Problem(
                    .nameInUse, "the socket name is in use (by the socket with inode \(occupant))",
                    object: .init(path: name),
                    remedy: "End the program that has it (ss -xp shows which), then restore again")
            ]
        }
        guard entry.nameBytes.first != 0 else { return [] }
        let path = UnixSocketWorkshop.path(entry)
        if let status = try? Files.status(of: path, followLinks: false), status.kind != .socket {
            return [
                Problem(
                    .nameInUse, "a file that is no socket has the name of one", object: .init(path: path.string),
                    remedy: "Move the file away")
            ]
        }
        let directory = path.removingLastComponent()
        guard (try? Files.status(of: directory))?.kind == .directory else {
            return [
                Problem(
                    .fileMissing, "the directory of a socket is not there", object: .init(path: directory.string),
                    remedy: "Make it again: mkdir -p '\(directory)'")
            ]
        }
        return []
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        site.unixSockets.supplement = supplement
        return try site.unixSockets.socket(entry, in: all, at: site)
    }
}

extension Problem.Code {
    /// A name or an address that somebody has already.
    public static let nameInUse: Self = "name-in-use"
}
