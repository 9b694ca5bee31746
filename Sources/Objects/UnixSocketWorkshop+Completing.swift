internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What sockets get when all of them, and all processes, are there.
extension UnixSocketWorkshop {
    /// Fills queues, connects what is connected in one direction only, closes what was closed, and sets options.
    ///
    /// - Parameter descriptors: Apus' descriptors of the descriptions, by the ids of the images.
    func complete(_ descriptors: [UInt32: Int32]) throws(Problem) {
        let entries = made.keys.sorted().compactMap { all.sockets[$0] }
        if entries.isEmpty { return }
        // Changing its peer costs a datagram socket its queue.
        for entry in entries { try reconnect(entry) }
        try sendEarly(entries, descriptors)
        for entry in entries where !isMutual(entry) { try fill(entry, descriptors) }
        var done: Set<UInt32> = []
        for entry in entries { try connectDatagrams(entry, &done) }
        for entry in entries where isMutual(entry) { try fill(entry, descriptors) }
        doomed = [:]
        for entry in entries where entry.hasShutdown && entry.shutdown != .none {
            try attempt(entry, "be shut down") { () throws(Errno) in
                try Sockets.shutDown(descriptor(entry), Int32(entry.shutdown.rawValue) - 1)
            }
        }
        for entry in entries {
            try attempt(entry, "be given its options") { () throws(Errno) in
                try SocketOptions.apply(entry.opts, to: descriptor(entry))
                try supplement(of: entry).applyOptions(to: descriptor(entry))
                let flags = OpenFlags(rawValue: Int32(bitPattern: entry.flags))
                try Files.setStatusFlags(descriptor(entry), flags.subtracting([.writeOnly, .readWrite]))
            }
        }
        closeRooms()
    }

    private func isDatagram(_ entry: UnixSkEntry) -> Bool { entry.type == UInt32(bitPattern: Sockets.datagram) }

    private func pairPartner(_ entry: UnixSkEntry) -> UInt32? {
        guard case .pair(let other) = try? UnixSocketRole(entry, in: all) else { return nil }
        return other
    }

    /// A pair of bound datagram sockets that are connected to each other: they may fill each other's queues without
    /// the limit that others have.
    private func isMutual(_ entry: UnixSkEntry) -> Bool {
        isDatagram(entry) && pairPartner(entry) == nil && entry.peer != 0 && all.sockets[entry.peer]?.peer == entry.ino
    }

    // MARK: Queues

    /// What was sent on connections that nobody has accepted.
    private func sendEarly(_ entries: [UnixSkEntry], _ descriptors: [UInt32: Int32]) throws(Problem) {
        for entry in entries {
            guard let sent = supplement(of: entry).sent, case .connecting = try UnixSocketRole(entry, in: all) else {
                continue
            }
            let sender = Sender(descriptor: descriptor(entry), receiver: nil, temporary: nil)
            try deliver(all.packets[sent] ?? [], to: entry, descriptors) { _ in sender }
        }
        for (listener, sent, socket) in leavers {
            let sender = Sender(descriptor: socket.descriptor.raw, receiver: nil, temporary: nil)
            try deliver(all.packets[sent] ?? [], to: listener, descriptors) { _ in sender }
        }
        leavers = []
    }

    private func fill(_ entry: UnixSkEntry, _ descriptors: [UInt32: Int32]) throws(Problem) {
        guard let packets = all.packets[entry.id] else { return }
        let usual = try sender(to: entry)
        try deliver(packets, to: entry, descriptors) { (index) throws(Problem) in
            try self.sender(of: index, to: entry) ?? usual
        }
    }

    /// Sends messages.
    ///
    /// - Parameter find: who sends each of them, by its number.
    private func deliver(
        _ packets: [UnixSocketImages.Packet], to entry: UnixSkEntry, _ descriptors: [UInt32: Int32],
        from find: (Int) throws(Problem) -> Sender
    ) throws(Problem) {
        for (index, packet) in packets.enumerated() {
            let sender = try find(index)
            // A queue may be longer than the sender's buffer is by now.
            try? Sockets.set(sender.descriptor, .forcedSendBuffer, to: 64 << 20)
            if let unknown = packet.unknown {
                throw UnixSocketRole.invalid(entry, "has a message with ancillary data of type \(unknown)")
            }
            var message = SocketMessage(packet.payload)
            for id in packet.descriptions {
                guard let descriptor = descriptors[id] else {
                    throw UnixSocketRole.invalid(entry, "has a message with a file (\(id)) that is not in the images")
                }
                message.descriptors.append(descriptor)
            }
            if let sender = packet.sender {
                message.credentials = SocketMessage.Credentials(
                    pid: Int32(bitPattern: sender[0]), uid: sender[1], gid: sender[2])
            }
            try attempt(entry, "be given what was queued in it") { () throws(Errno) in
                try send(message, through: sender)
            }
        }
    }

    private struct Sender {
        let descriptor: Int32
        /// The receiver, where the sender is not connected to it.
        let receiver: UnixSkEntry?
        let temporary: SharedDescriptor?
    }

    private func sender(to entry: UnixSkEntry) throws(Problem) -> Sender {
        if let other = (doomed[entry.ino] ?? made[pairPartner(entry) ?? 0])?.descriptor.raw {
            return Sender(descriptor: other, receiver: nil, temporary: nil)
        }
        if !isDatagram(entry) || isMutual(entry) {
            guard let peer = made[entry.peer]?.descriptor.raw else {
                throw UnixSocketRole.invalid(entry, "has something queued, and no other end")
            }
            return Sender(descriptor: peer, receiver: nil, temporary: nil)
        }
        let socket = try attempt(entry, "be given what was queued in it") { () throws(Errno) in
            try Sockets.make(Sockets.unix, Sockets.datagram)
        }
        let temporary = SharedDescriptor(socket)
        return Sender(descriptor: temporary.descriptor.raw, receiver: entry, temporary: temporary)
    }

    /// The sender of a datagram by its name: the socket that has it, or one that has it for a moment.
    private func sender(of index: Int, to entry: UnixSkEntry) throws(Problem) -> Sender? {
        guard isDatagram(entry), !isMutual(entry), pairPartner(entry) == nil, doomed[entry.ino] == nil,
            case let names = supplement(of: entry).senders, index < names.count, !names[index].isEmpty
        else { return nil }
        if let known = all.sockets.values.first(where: { $0.nameBytes == names[index] && $0.type == entry.type }),
            let socket = made[known.ino]
        {
            return Sender(descriptor: socket.descriptor.raw, receiver: entry, temporary: nil)
        }
        var stranger = UnixSkEntry()
        strangers += 1
        stranger.ino = .max - strangers
        stranger.nameBytes = names[index]
        let socket = try attempt(entry, "be given what was queued in it") { () throws(Errno) in
            let socket = try Sockets.make(Sockets.unix, Sockets.datagram)
            // Where the name is somebody else's by now, the message comes from nobody.
            try? apart(stranger) { () throws(Errno) in try Sockets.bind(socket.raw, Self.address(stranger)) }
            return socket
        }
        let temporary = SharedDescriptor(socket)
        return Sender(descriptor: temporary.descriptor.raw, receiver: entry, temporary: temporary)
    }

    private func send(_ message: SocketMessage, through sender: Sender) throws(Errno) {
        var rest = message
        repeat {
            var sent = 0
            do throws(Errno) {
                sent = try sendOnce(rest, through: sender)
            } catch {
                // The process that sent it is not there any more, neither here nor in the tree.
                guard error == .noSuchProcess, let credentials = rest.credentials else { throw error }
                let gone = StandIn(pid: credentials.pid, uid: credentials.uid, gid: credentials.gid)
                sent = try sendOnce(rest, through: sender, as: gone)
            }
            rest.payload.removeFirst(min(sent, rest.payload.count))
            rest.descriptors = []
        } while !rest.payload.isEmpty
    }

    private func sendOnce(
        _ message: SocketMessage, through sender: Sender, as one: StandIn? = nil
    ) throws(Errno) -> Int {
        guard let receiver = sender.receiver else { return try Sockets.send(sender.descriptor, message, as: one) }
        var sent = 0
        try at(receiver) { () throws(Errno) in
            sent = try Sockets.send(sender.descriptor, message, to: Self.address(receiver), as: one)
        }
        return sent
    }

    // MARK: Connections

    /// One of a pair of datagram sockets that was connected to another since, or to none.
    private func reconnect(_ entry: UnixSkEntry) throws(Problem) {
        guard isDatagram(entry), let partner = pairPartner(entry), partner != entry.peer else { return }
        try attempt(entry, "be connected") { () throws(Errno) in
            if let peer = all.sockets[entry.peer] {
                try at(peer) { () throws(Errno) in try Sockets.connect(descriptor(entry), Self.address(peer)) }
            } else {
                // AF_UNSPEC: to nobody (connect(2)).
                try Sockets.connect(descriptor(entry), [0, 0])
            }
        }
    }

    /// Whoever is connected to a socket has to be so before that one is connected elsewhere: from then on it takes
    /// nothing from others.
    private func connectDatagrams(_ entry: UnixSkEntry, _ done: inout Set<UInt32>) throws(Problem) {
        guard isDatagram(entry), done.insert(entry.ino).inserted else { return }
        for sender in all.connected[entry.ino] ?? [] where sender != entry.peer {
            if let sender = all.sockets[sender] { try connectDatagrams(sender, &done) }
        }
        guard entry.peer != 0, pairPartner(entry) == nil, let peer = all.sockets[entry.peer] else { return }
        try attempt(entry, "be connected") { () throws(Errno) in
            try at(peer) { () throws(Errno) in try Sockets.connect(descriptor(entry), Self.address(peer)) }
        }
    }
}
