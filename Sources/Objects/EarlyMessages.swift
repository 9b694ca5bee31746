internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What was sent on Unix connections that nobody has accepted yet. Such a connection has no descriptor, and no interface
/// shows what is in it; the kernel's memory does (`KernelMemory`), and is only looked at.
enum EarlyMessages {
    /// What waits on the connection that a socket has made.
    ///
    /// - Parameter client: a descriptor of Apus of that socket.
    static func sent(by client: Int32) throws(Errno) -> KernelMessages.Waiting {
        try KernelMemory.use { (kernel) throws(Errno) in
            let messages = KernelMessages(kernel)
            return try messages.waiting(on: messages.peer(of: kernel.socket(client)))
        }
    }

    /// What waits on each of the connections that a socket will accept, in their order.
    static func waiting(at listener: Int32) throws(Errno) -> [KernelMessages.Waiting] {
        try KernelMemory.use { (kernel) throws(Errno) in
            let messages = KernelMessages(kernel)
            return try messages.connections(waitingAt: kernel.socket(listener)).map { (connection) throws(Errno) in
                try messages.waiting(on: connection)
            }
        }
    }

    /// The same for those alone whose other end is closed again, by their place in the queue.
    static func left(at listener: Int32, _ report: UnixSocketReport) throws(Errno) -> [Int: KernelMessages.Waiting] {
        guard report.waiting.contains(0) else { return [:] }
        let found = try waiting(at: listener)
        // One that came, or was accepted, between the two questions.
        guard found.count == report.waiting.count else { throw .resourceTemporarilyUnavailable }
        let left = report.waiting.indices.filter { report.waiting[$0] == 0 }
        return Dictionary(uniqueKeysWithValues: left.map { ($0, found[$0]) })
    }

    // MARK: What stands in the way

    /// Why what a socket has sent cannot be carried, where it has sent something.
    static func obstacle(toClient seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        guard let copy = try? SocketIdentity.open(seen.number, of: seen.pid),
            let count = try? Sockets.unreceived(copy.raw), count > 0
        else { return nil }
        do throws(Errno) {
            return obstacle(to: [try sent(by: copy.raw)], of: seen, circumstances)
        } catch {
            return unreadable(seen, error)
        }
    }

    /// Why what those have sent who have closed their ends again cannot be carried.
    static func obstacle(
        toListening seen: SeenDescriptor, _ report: UnixSocketReport, _ circumstances: Circumstances
    ) -> Problem? {
        guard report.waiting.contains(0) else { return nil }
        do throws(Errno) {
            let copy = try SocketIdentity.open(seen.number, of: seen.pid)
            return obstacle(to: Array(try left(at: copy.raw, report).values), of: seen, circumstances)
        } catch {
            return unreadable(seen, error)
        }
    }

    private static func obstacle(
        to waiting: [KernelMessages.Waiting], of seen: SeenDescriptor, _ circumstances: Circumstances
    ) -> Problem? {
        let files = Set(waiting.flatMap(\.files).joined())
        if files.isEmpty { return nil }
        let known = descriptors(circumstances, leadingTo: files)
        guard let lost = files.first(where: { known[$0] == nil }) else { return nil }
        return strange(file: lost, seen)
    }

    static func strange(file: UInt64, _ seen: SeenDescriptor) -> Problem {
        let name = (try? KernelMemory.use { (kernel) throws(Errno) in try kernel.name(ofFile: file) }) ?? ""
        return Problem(
            .underWay,
            "a descriptor\(name.isEmpty ? "" : " of \"\(name)\"") was sent on a connection that is not accepted yet, and no"
                + " process of the tree has it open beside that",
            object: seen.object,
            remedy: "Dump again when the connection has been accepted: nobody can take it out before")
    }

    static func unreadable(_ seen: SeenDescriptor, _ error: Errno) -> Problem {
        let isPassing = error == .resourceTemporarilyUnavailable
        return Problem(
            .underWay, "data was sent on a connection that is not accepted yet, where it cannot be read",
            object: seen.object,
            cause: .init(error, attempted: isPassing ? "look twice" : "read the kernel's memory (BPF)"),
            remedy: "Dump again when the connection has been accepted."
                + " Kernels with CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF let Apus read it before, as root")
    }

    /// Through which descriptors of the tree files can be reached, by their addresses.
    static func descriptors(_ circumstances: Circumstances, leadingTo files: Set<UInt64>) -> [UInt64: SeenDescriptor] {
        var found: [UInt64: SeenDescriptor] = [:]
        for seen in circumstances.descriptors.values.joined() where found.count < files.count {
            guard let copy = try? SocketIdentity.open(seen.number, of: seen.pid),
                let file = try? KernelMemory.use({ (kernel) throws(Errno) in try kernel.file(copy.raw) }),
                files.contains(file)
            else { continue }
            found[file] = seen
        }
        return found
    }
}

/// A client that has connected, sent something perhaps, and closed its end, all before it was accepted.
struct EarlyLeaver: Equatable, Sendable {
    /// The place in the queue of those that wait.
    var order: Int
    /// By which number the images have what it sent (`sk-queues.img`).
    var sent: UInt32
    /// Who it was.
    var client: StandIn?

    init(order: Int, sent: UInt32, client: StandIn?) { (self.order, self.sent, self.client) = (order, sent, client) }

    var json: JSON {
        var members: [JSON.Member] = [
            .init("order", .integer(Int64(order))), .init("sent", .integer(Int64(sent))),
        ]
        if let client { members.append(.init("client", client.json)) }
        return .object(members)
    }

    /// - Returns: nil where it is not of this form.
    init?(_ json: JSON) {
        guard let order = json["order"]?.bits.flatMap({ Int(exactly: $0) }), order >= 0,
            let sent = json["sent"]?.bits.flatMap({ UInt32(exactly: $0) })
        else { return nil }
        (self.order, self.sent) = (order, sent)
        guard let value = json["client"] else { return }
        guard let client = StandIn(value) else { return nil }
        self.client = client
    }
}

extension Descriptions {
    /// Records who has connected a socket, what it sent, and its place in the queue of those that wait.
    ///
    /// What was sent comes later: descriptors in it may lead to more.
    func noteEarly(
        _ seen: SeenDescriptor, through own: Int32, at listener: UnixSocketReport?, _ supplement: inout SocketSupplement
    ) throws(Problem) {
        supplement.connector = StandIn(process: seen.pid)
        supplement.order = UInt32(exactly: seen.status.inode).flatMap { listener?.waiting.firstIndex(of: $0) }
        do throws(Errno) {
            let waiting = try EarlyMessages.sent(by: own)
            if let client = waiting.client { supplement.connector = client }
            if !waiting.messages.isEmpty { supplement.sent = later(waiting, of: seen) }
        } catch {
            // Where nothing was sent there is nothing to be read.
            guard (try? Sockets.unreceived(own)) == 0 else { throw EarlyMessages.unreadable(seen, error) }
        }
    }

    /// Records those that have connected to a socket and closed their ends again.
    func noteLeavers(
        _ seen: SeenDescriptor, through own: Int32, _ report: UnixSocketReport, _ supplement: inout SocketSupplement
    ) throws(Problem) {
        do throws(Errno) {
            for (order, waiting) in try EarlyMessages.left(at: own, report).sorted(by: { $0.key < $1.key }) {
                supplement.leavers.append(
                    EarlyLeaver(order: order, sent: later(waiting, of: seen), client: waiting.client))
            }
        } catch {
            throw EarlyMessages.unreadable(seen, error)
        }
    }

    private func later(_ waiting: KernelMessages.Waiting, of seen: SeenDescriptor) -> UInt32 {
        let id = nextID()
        sockets.early.append((seen, id, waiting))
        return id
    }

    /// Records what was noted, in the form of queues of sockets that have no description.
    func captureEarlyMessages() throws(Problem) {
        let files = Set(sockets.early.flatMap(\.waiting.files).joined())
        let known = files.isEmpty ? [:] : EarlyMessages.descriptors(circumstances, leadingTo: files)
        for (seen, id, waiting) in sockets.early {
            for (message, files) in zip(waiting.messages, waiting.files) {
                var rights: [UInt32] = []
                for file in files {
                    guard let holder = known[file] else { throw EarlyMessages.strange(file: file, seen) }
                    rights.append(try capture(holder).id)
                }
                record(message, with: rights, for: id)
            }
        }
        sockets.early = []
    }
}
