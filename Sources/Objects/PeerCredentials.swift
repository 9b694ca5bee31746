internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Who made a Unix connection, which both ends can ask for (SO_PEERCRED, SO_PEERGROUPS of unix(7)): services decide by it
/// whom they trust. The kernel notes it when the pair is made, when a socket begins to listen, and when one connects.
extension StandIn {
    /// In the supplement: `pid`, `uid`, `gid`, `groups`.
    var json: JSON {
        let numbers: [JSON] = groups.map { JSON.integer(Int64($0)) }
        let members: [JSON.Member] = [
            .init("pid", .integer(Int64(pid))), .init("uid", .integer(Int64(uid))), .init("gid", .integer(Int64(gid))),
            .init("groups", .array(numbers)),
        ]
        return .object(members)
    }

    /// - Returns: nil where it is not of this form.
    init?(_ json: JSON) {
        guard let pid = json["pid"]?.bits.flatMap({ Int32(exactly: $0) }), pid >= 0,
            let uid = json["uid"]?.bits.flatMap({ UInt32(exactly: $0) }),
            let gid = json["gid"]?.bits.flatMap({ UInt32(exactly: $0) }),
            case .array(let members)? = json["groups"], members.count <= 65536
        else { return nil }
        let groups = members.compactMap { $0.bits.flatMap { UInt32(exactly: $0) } }
        guard groups.count == members.count else { return nil }
        self.init(pid: pid, uid: uid, gid: gid, groups: groups)
    }

    /// A process as it is now; nil where it has gone.
    init?(process pid: Int32) {
        guard let status = try? ProcessDirectory(pid).status() else { return nil }
        self.init(pid: pid, uid: status.uid.effective, gid: status.gid.effective, groups: status.groups)
    }
}

extension UnixSocketWorkshop {
    /// Does something as the one who did it before the dump, as far as this host allows it.
    func act<Value: ~Copyable>(
        as one: StandIn?, for entry: UnixSkEntry, _ body: (StandIn?) throws(Errno) -> Value
    ) throws(Errno) -> Value {
        guard let one else { return try body(nil) }
        // The next attempt tells why this one failed, where the pid is not the reason.
        do throws(Errno) { return try body(one) } catch {}
        losses.insert(
            "\(UnixSocketEnd.text(entry)): its peer was process \(one.pid) of user \(one.uid), and seems to be another now"
                + " (SO_PEERCRED)")
        let anyPid = StandIn(pid: 0, uid: one.uid, gid: one.gid, groups: one.groups)
        do throws(Errno) { return try body(anyPid) } catch {}
        return try body(nil)
    }

    /// Makes a socket listen as a certain process: who connects to it from now on has that one for a peer.
    func listen(_ entry: UnixSkEntry, as one: StandIn?) throws(Problem) {
        if let now = listening[entry.ino], now == one { return }
        try attempt(entry, "listen") { () throws(Errno) in
            try act(as: one, for: entry) { (one) throws(Errno) in
                try Sockets.listen(descriptor(entry), backlog: Int32(clamping: entry.backlog), as: one)
            }
        }
        listening[entry.ino] = .some(one)
    }

    /// Connects what waits to be accepted, in its order, while the pids of those who connected are free.
    func connectAll() throws(Problem) {
        let entries = made.keys.sorted().compactMap { all.sockets[$0] }
        // Those that do not wait are passed over; those that have left wait among the others.
        let leavers = entries.flatMap { listener in supplement(of: listener).leavers.map { (listener, $0) } }
        let steps = entries.map { (order($0), $0, EarlyLeaver?.none) } + leavers.map { ($1.order, $0, $1) }
        for (_, entry, leaver) in steps.sorted(by: { $0.0 < $1.0 }) {
            if let leaver { try connect(leaver, to: entry) } else { try connectWaiting(entry) }
        }
        for entry in entries where listening[entry.ino] != nil { try listen(entry, as: supplement(of: entry).peer) }
    }

    private func order(_ entry: UnixSkEntry) -> Int { supplement(of: entry).order ?? 0 }

    private func connect(_ leaver: EarlyLeaver, to listener: UnixSkEntry) throws(Problem) {
        guard listening[listener.ino] != nil else {
            throw UnixSocketRole.invalid(listener, "has connections that wait, and does not listen")
        }
        try attempt(listener, "be connected to by those that have left again") { () throws(Errno) in
            let socket = try Sockets.make(Sockets.unix, Int32(bitPattern: listener.type))
            try Files.setStatusFlags(socket.raw, .nonBlocking)
            try at(listener) { () throws(Errno) in
                try act(as: leaver.client, for: listener) { (one) throws(Errno) in
                    try Sockets.connect(socket.raw, Self.address(listener), as: one)
                }
            }
            leavers.append((listener, leaver.sent, SharedDescriptor(socket)))
        }
    }

    private func connectWaiting(_ entry: UnixSkEntry) throws(Problem) {
        guard case .connecting(let number) = try UnixSocketRole(entry, in: all), let listener = all.sockets[number]
        else { return }
        if made[listener.ino] == nil {
            throw UnixSocketRole.invalid(entry, "waits to be accepted by a socket that nobody has")
        }
        try listen(listener, as: supplement(of: entry).peer)
        try attempt(entry, "be connected") { () throws(Errno) in
            // A full queue would make it wait for ever.
            try Files.setStatusFlags(descriptor(entry), .nonBlocking)
            try at(listener) { () throws(Errno) in
                try act(as: supplement(of: entry).connector, for: entry) { (one) throws(Errno) in
                    try Sockets.connect(descriptor(entry), Self.address(listener), as: one)
                }
            }
        }
    }
}
