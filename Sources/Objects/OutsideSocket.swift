internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

extension UnixSocket {
    public static func externalKey(of seen: SeenDescriptor) -> String? { "unix[\(seen.status.inode)]" }

    /// What a restore calls it.
    static func restoreKey(_ inode: UInt32) -> String { "socket:[\(inode)]" }

    static func isLeftOutside(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> Bool {
        externalKey(of: seen).map(circumstances.external.contains) ?? false
    }

    /// Why one that is to be left outside cannot be.
    static func obstacle(toOutside seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        guard let report = circumstances.sockets.report(of: seen), report.state != .listening,
            let copy = try? SocketIdentity.open(seen.number, of: seen.pid),
            let count = try? Files.readableBytes(copy.raw), count > 0
        else { return nil }
        return Problem(
            .underWay, "\(count) bytes wait unread in a socket that is left outside (--external)", object: seen.object,
            remedy: "Dump again when the program has read them: they cannot be put into the socket of the restore")
    }

    /// Notes that it stays outside, if so.
    static func leaveOutside(_ seen: SeenDescriptor, _ inode: UInt32, _ descriptions: Descriptions) -> Bool {
        guard isLeftOutside(seen, descriptions.circumstances) else { return false }
        descriptions.leaveOutside(restoreKey(inode))
        return true
    }
}

/// A Unix socket that the dump left outside: a descriptor of the caller takes its place.
struct OutsideSocket: Resource {
    private let entry: UnixSkEntry

    /// nil for one that was not left outside.
    init?(_ entry: UnixSkEntry, _ supplement: Supplement) {
        guard supplement[.external, UnixSocket.restoreKey(entry.ino)] != nil else { return nil }
        self.entry = entry
    }

    private var key: String { UnixSocket.restoreKey(entry.ino) }
    private var flags: OpenFlags { OpenFlags(rawValue: Int32(bitPattern: entry.flags)) }

    var keys: [String] { [key] }
    var description: String { "the caller's socket in place of \(UnixSocketEnd.text(entry))" }

    func obstacles(at site: RestoreSite) -> [Problem] {
        guard let descriptor = site.inherited[key] else { return [LeftOutside.missing("the socket", key)] }
        if let problem = LeftOutside.problem(with: descriptor, for: key, kinds: [.socket], flags: flags) {
            return [problem]
        }
        guard let identity = SocketIdentity(descriptor), identity.domain == Sockets.unix,
            identity.type == Int32(bitPattern: entry.type)
        else {
            return [
                Problem(
                    .inheritedDescriptor, "descriptor \(descriptor) is not a Unix socket of the type of \(key)",
                    object: .init(fd: descriptor, path: key),
                    remedy: "Give one of the same type: \(UnixSocketEnd.text(entry))")
            ]
        }
        return []
    }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        guard let socket = try site.substitute(for: key) else { throw LeftOutside.missing("the socket", key) }
        do throws(Errno) {
            // Sockets cannot be opened anew: the flags are those of the caller's from now on, too.
            try Files.setStatusFlags(socket.raw, flags.subtracting([.writeOnly, .readWrite]))
            return socket
        } catch {
            throw Problem(
                .inheritedDescriptor, "the descriptor that is to stand in for \(key) cannot be used",
                object: .init(path: key), cause: .init(error, attempted: "fcntl(F_SETFL)"),
                remedy: "Give another Unix socket")
        }
    }
}
