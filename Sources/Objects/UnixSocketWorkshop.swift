internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Where the Unix sockets of a tree are made again: two ends at a time, and all of them finished at the end.
final class UnixSocketWorkshop {
    var all = UnixSocketImages()
    /// What the images have no place for.
    var supplement = Supplement()
    private var supplements: [UInt32: SocketSupplement] = [:]
    /// As whom sockets listen, by inode.
    var listening: [UInt32: StandIn?] = [:]
    /// What the tree has to do without on this host, in words.
    var losses: Set<String> = []
    /// One descriptor of each socket, by inode.
    var made: [UInt32: SharedDescriptor] = [:]
    /// The other ends of those whose other end is closed: closed again when the queues are filled.
    var doomed: [UInt32: SharedDescriptor] = [:]
    /// Those who had connected to a socket and closed their ends: closed again when what they sent is there.
    var leavers: [(listener: UnixSkEntry, sent: UInt32, socket: SharedDescriptor)] = []
    /// How many senders of datagrams were made that are nobody's.
    var strangers: UInt32 = 0
    private var rooms: [UInt32: UnixSocketRoom] = [:]
    private lazy var host = try? UnixSocketReport.all()

    deinit { for room in rooms.values { room.remove() } }

    /// A descriptor of a socket, which is made now unless it has been with its other end.
    func socket(_ entry: UnixSkEntry, in all: UnixSocketImages, at site: RestoreSite) throws(Problem)
        -> OwnedDescriptor
    {
        self.all = all
        try make(entry, at: site)
        return try attempt(entry, "be made") { () throws(Errno) in
            guard let socket = made[entry.ino] else { throw .badFileDescriptor }
            return try Files.duplicate(socket.descriptor.raw)
        }
    }

    /// What the images have no place for of a socket. That it makes sense was seen to when the plan was made.
    func supplement(of entry: UnixSkEntry) -> SocketSupplement {
        if let known = supplements[entry.id] { return known }
        let found = (try? SocketSupplement(supplement[.socket, entry.id], id: entry.id)) ?? SocketSupplement()
        supplements[entry.id] = found
        return found
    }

    func attempt<Value: ~Copyable>(
        _ entry: UnixSkEntry, _ what: String, _ body: () throws(Errno) -> Value
    ) throws(Problem) -> Value {
        do throws(Errno) {
            return try body()
        } catch {
            throw Problem(
                .fileUnopenable, "\(UnixSocketEnd.text(entry)) cannot \(what)",
                object: .init(path: entry.name.isEmpty ? nil : UnixSocketFile.text(entry.nameBytes)),
                cause: .init(error, attempted: what),
                remedy: "Run Apus as root, in the network namespace and on the file systems that the name belongs to")
        }
    }

    // MARK: Making

    private func make(_ entry: UnixSkEntry, at site: RestoreSite) throws(Problem) {
        if made[entry.ino] != nil { return }
        if try connectToJournal(entry) { return }
        switch try UnixSocketRole(entry, in: all) {
        case .alone, .connecting: try makeAlone(entry, at: site)
        case .listening:
            try makeAlone(entry, at: site)
            try listen(entry, as: supplement(of: entry).peer)
        case .pair(let other):
            try keep(try pair(entry), entry.ino, other)
            for one in [entry, all.sockets[other] ?? entry] where one.type == UInt32(bitPattern: Sockets.datagram) {
                try bind(one, descriptor(one), at: site)
            }
        case .orphan:
            if entry.nameBytes.isEmpty {
                try keep(try pair(entry), entry.ino, nil)
            } else {
                try connect(nil, to: entry, at: site)
            }
        case .accepted(let client): try connect(all.sockets[client], to: entry, at: site)
        case .client(let server): if let server = all.sockets[server] { try connect(entry, to: server, at: site) }
        }
    }

    private func pair(_ entry: UnixSkEntry) throws(Problem) -> Files.Pair {
        try attempt(entry, "be made") { () throws(Errno) in
            try act(as: supplement(of: entry).peer, for: entry) { (one) throws(Errno) in
                try Files.socketPair(type: Int32(bitPattern: entry.type), as: one)
            }
        }
    }

    private func keep(_ ends: consuming Files.Pair, _ first: UInt32, _ second: UInt32?) throws(Problem) {
        do throws(Errno) {
            made[first] = SharedDescriptor(try Files.duplicate(ends.first.raw))
            let other = SharedDescriptor(try Files.duplicate(ends.second.raw))
            if let second { made[second] = other } else { doomed[first] = other }
        } catch {
            throw Problem(
                .fileUnopenable, "a Unix socket cannot be kept", cause: .init(error, attempted: "fcntl(F_DUPFD)"),
                remedy: "Raise the limit of open files (ulimit -n)")
        }
    }

    func descriptor(_ entry: UnixSkEntry) -> Int32 { made[entry.ino]?.descriptor.raw ?? -1 }

    private func makeAlone(_ entry: UnixSkEntry, at site: RestoreSite) throws(Problem) {
        let socket = try attempt(entry, "be made") { () throws(Errno) in
            try Sockets.make(Sockets.unix, Int32(bitPattern: entry.type))
        }
        made[entry.ino] = SharedDescriptor(socket)
        try bind(entry, descriptor(entry), at: site)
    }

    /// Makes both ends of a connection that was accepted through a named socket, so that both know that name.
    private func connect(_ client: UnixSkEntry?, to server: UnixSkEntry, at site: RestoreSite) throws(Problem) {
        if let client { try makeAlone(client, at: site) }
        let type = Int32(bitPattern: server.type)
        if client == nil {
            let socket = try attempt(server, "be made") { () throws(Errno) in try Sockets.make(Sockets.unix, type) }
            doomed[server.ino] = SharedDescriptor(socket)
        }
        let connecting = client.map(descriptor) ?? doomed[server.ino]?.descriptor.raw ?? -1
        let (whoConnected, whoListened) = (supplement(of: server).peer, client.flatMap { supplement(of: $0).peer })
        let connect = { (address: [UInt8]) throws(Errno) in
            try self.act(as: whoConnected, for: server) { (one) throws(Errno) in
                try Sockets.connect(connecting, address, as: one)
            }
        }
        if let listener = all.listener(named: server.nameBytes, type: server.type) {
            try make(listener, at: site)
            try listen(listener, as: whoListened)
            try attempt(server, "be connected") { () throws(Errno) in
                try at(listener) { () throws(Errno) in try connect(Self.address(listener)) }
                made[server.ino] = SharedDescriptor(try Sockets.accept(descriptor(listener)))
            }
            return
        }
        // The socket that listened is gone: another listens for a moment where nobody is disturbed.
        try attempt(server, "be connected") { () throws(Errno) in
            let listener = try Sockets.make(Sockets.unix, type)
            let address = Self.address(server)
            try apart(server) { () throws(Errno) in
                try Sockets.bind(listener.raw, address)
                try act(as: whoListened, for: client ?? server) { (one) throws(Errno) in
                    try Sockets.listen(listener.raw, backlog: 1, as: one)
                }
                try connect(address)
            }
            made[server.ino] = SharedDescriptor(try Sockets.accept(listener.raw))
        }
    }

    // MARK: Names

    /// struct sockaddr_un: the family, and the name as the images have it.
    static func address(_ entry: UnixSkEntry) -> [UInt8] { [UInt8(Sockets.unix), 0] + entry.nameBytes }

    private func bind(_ entry: UnixSkEntry, _ socket: Int32, at site: RestoreSite) throws(Problem) {
        guard let first = entry.nameBytes.first else { return }
        try attempt(entry, "be bound to its name") { () throws(Errno) in
            if first == 0 { return try Sockets.bind(socket, Self.address(entry)) }
            if entry.deleted {
                return try apart(entry) { () throws(Errno) in try Sockets.bind(socket, Self.address(entry)) }
            }
            // What an earlier run left there; that nobody uses it was asked for before.
            let path = Self.path(entry)
            let isThere = (try? Files.status(of: path, followLinks: false))?.kind == .socket
            if isThere { try Files.remove(path) }
            try at(entry) { () throws(Errno) in try Sockets.bind(socket, Self.address(entry)) }
            if !isThere { site.madeFiles.append(path) }
            if entry.hasFilePerms {
                try Files.setOwner(path, uid: entry.filePerms.uid, gid: entry.filePerms.gid)
                try Files.setMode(path, entry.filePerms.mode & 0o7777)
            }
        }
    }

    /// The whole path of the file that a socket is bound to.
    static func path(_ entry: UnixSkEntry) -> FilePath {
        let name = FilePath(bytes: entry.nameBytes.prefix { $0 != 0 })
        return name.isAbsolute ? name : (entry.directory ?? "/").appending(name.components)
    }

    /// Does something from where a socket's name leads to the socket.
    func at(_ entry: UnixSkEntry, _ body: () throws(Errno) -> Void) throws(Errno) {
        if entry.deleted { return try apart(entry, body) }
        guard let directory = entry.directory else { return try body() }
        let here = try Files.open(".", [.path, .directory])
        let there = try Files.open(directory, [.path, .directory])
        try Files.changeDirectory(there.raw)
        let result = Result(catching: body)
        try Files.changeDirectory(here.raw)
        try result.get()
    }

    /// The same where the name leads elsewhere, or to nothing.
    func apart(_ entry: UnixSkEntry, _ body: () throws(Errno) -> Void) throws(Errno) {
        guard entry.nameBytes.first != 0 else { return try body() }
        let room: UnixSocketRoom
        if let known = rooms[entry.ino] {
            room = known
        } else {
            let name = FilePath(bytes: entry.nameBytes.prefix { $0 != 0 })
            room = try UnixSocketRoom(for: name, in: entry.directory, number: entry.ino)
            rooms[entry.ino] = room
        }
        try room.inside(body)
    }

    func closeRooms() {
        for room in rooms.values { room.remove() }
        rooms = [:]
    }

    // MARK: The host

    /// The inode of a socket of this host that has the name already, or the file.
    func occupant(of entry: UnixSkEntry) -> UInt32? {
        guard let host else { return nil }
        if entry.nameBytes.first == 0 {
            return host.values.first { $0.name == entry.nameBytes && $0.state != .connected }?.inode
        }
        guard let status = try? Files.status(of: Self.path(entry)) else { return nil }
        return host.values.first {
            $0.fileInode == UInt32(truncatingIfNeeded: status.inode) && $0.fileDevice == status.device
        }?.inode
    }
}
