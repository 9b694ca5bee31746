public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage

/// What is recorded of the sockets of a tree beside their descriptions.
public struct SocketRecords {
    /// A TCP connection: what was received and not read, then what was sent and not acknowledged, are its queues.
    public typealias Stream = (inode: UInt32, entry: TcpStreamEntry, queues: [UInt8])

    /// What is queued in sockets (`sk-queues.img`).
    public internal(set) var packets: [(entry: SkPacketEntry, payload: [UInt8])] = []
    /// TCP connections (`tcp-stream-*.img`), by inode.
    public internal(set) var streams: [Stream] = []
    /// The id of the description of each Unix socket, by inode.
    var unix: [UInt32: UInt32] = [:]
    /// What the images have no place for, by id.
    var supplements: [UInt32: SocketSupplement] = [:]
    /// Those whose queue is still to be read, and those that must have been recorded by the end.
    var unread: [(seen: SeenDescriptor, id: UInt32)] = []
    var expected: [(peer: UInt32, seen: SeenDescriptor)] = []
    /// What was sent on connections that nobody has accepted yet, by whom, and the id that it gets in the images.
    var early: [(seen: SeenDescriptor, id: UInt32, waiting: KernelMessages.Waiting)] = []
    /// Sockets outside of the tree that one of the tree is connected to, by inode.
    var external: Set<UInt32> = []
    /// Descriptors that were on their way in messages: Apus keeps its copies until all is recorded.
    var received: [SharedDescriptor] = []
}

extension Descriptions {
    /// Records what is queued in sockets. Comes after all descriptors: what is under way in a message may lead to
    /// more sockets, and so on.
    public func captureQueues() throws(Problem) {
        try captureEarlyMessages()
        while let (seen, id) = sockets.unread.popLast() {
            let own = try open(seen)
            let messages: [SocketMessage]
            do throws(Errno) {
                messages = try SocketQueue.messages(of: own.raw, type: seen.socket?.type ?? 0)
                    .flatMap(DatagramArrival.split)
            } catch {
                throw unreadable(seen, error, "recvmsg(MSG_PEEK)")
            }
            for message in messages {
                sockets.received += message.descriptors.map { SharedDescriptor(OwnedDescriptor(owning: $0)) }
            }
            for message in messages { try record(message, queuedIn: seen, id) }
            // The names of senders, without the family before them.
            sockets.supplements[id]?.senders = messages.map { Array($0.sender.dropFirst(2)) }
            sockets.supplements[id]?.arrivals = messages.map(DatagramArrival.init)
            supplement[.socket, id] = sockets.supplements[id]?.json
        }
        for (peer, seen) in sockets.expected where sockets.unix[peer] == nil && !sockets.external.contains(peer) {
            throw UnixSocket.leadsOutside(seen, peer, circumstances.sockets)
        }
    }

    private func record(_ message: SocketMessage, queuedIn seen: SeenDescriptor, _ id: UInt32) throws(Problem) {
        var rights: [UInt32] = []
        for number in message.descriptors { rights.append(try description(underWay: number, in: seen)) }
        record(message, with: rights, for: id)
    }

    /// - Parameter descriptions: the ids of what is sent with it.
    func record(_ message: SocketMessage, with descriptions: [UInt32], for id: UInt32) {
        var entry = SkPacketEntry()
        entry.idFor = id
        entry.length = UInt32(message.payload.count)
        // The numbers of the kernel: SCM_RIGHTS and SCM_CREDENTIALS (unix(7)).
        if !descriptions.isEmpty {
            var rights = ScmEntry()
            rights.type = 1
            rights.rights = descriptions
            entry.scm.append(rights)
        }
        if let sender = message.credentials, sender.pid != 0 {
            var credentials = ScmEntry()
            credentials.type = 2
            credentials.rights = [UInt32(bitPattern: sender.pid), sender.uid, sender.gid]
            entry.scm.append(credentials)
        }
        sockets.packets.append((entry, message.payload))
    }

    /// Records a description that no process of the tree may have, but that is on its way to one.
    private func description(underWay number: Int32, in socket: SeenDescriptor) throws(Problem) -> UInt32 {
        do {
            let seen = try SeenDescriptor(number, of: Processes.current, process: "in a message")
            if let obstacle = DescriptionKinds.obstacle(to: seen, circumstances) { throw obstacle }
            return try capture(seen).id
        } catch let problem as Problem {
            throw Problem(
                problem.code, "a descriptor that is under way in the socket's queue: \(problem.summary)",
                object: .init(
                    pid: socket.pid, process: socket.process, fd: socket.number, path: problem.object.path),
                cause: problem.cause, remedy: "Dump again when the message has been received")
        } catch {
            throw unreadable(socket, .ioError, "look at a descriptor in its queue")
        }
    }
}
