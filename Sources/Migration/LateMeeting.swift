internal import Diagnostics
internal import Linux
internal import SystemPackage

/// Where a source whose connection broke comes back to the process that serves late pages: a Unix socket beside the record.
///
/// Its new connection ends in another `apus receive --stdio`, which hands it over and stays until it is not needed any more.
final class LateMeeting: Sendable {
    private let socket: OwnedDescriptor
    private let folder: OwnedDescriptor
    private let uuid: String

    /// What a visitor wants.
    enum Visit {
        case nobody
        /// The tree is not to go on here.
        case givesUp
        /// A connection to the source. Whoever has brought it stays as long as the other descriptor is open.
        case source(Wire, SharedDescriptor)
    }

    private static let (connection, end): (UInt8, UInt8) = (UInt8(ascii: "c"), UInt8(ascii: "e"))

    /// - Throws: `state-unwritable`.
    init(_ options: Arrival.Options, _ uuid: String) throws(Problem) {
        self.uuid = uuid
        do throws(Errno) {
            folder = try Files.open(options.stateDirectory.appending("arrivals"), [.readOnly, .directory])
            try? Files.remove(FilePath(Self.name(uuid)), at: folder.raw)
            socket = try Sockets.make(Sockets.unix, Sockets.sequencedPackets)
            try Sockets.bind(socket.raw, Self.address(uuid, folder.raw))
            try Sockets.listen(socket.raw, backlog: 8)
            try Files.setStatusFlags(socket.raw, try Files.statusFlags(socket.raw).union(.nonBlocking))
        } catch {
            throw Problem(
                .stateUnwritable, "there is no place for a source to come back to",
                object: .init(path: options.stateDirectory.string), cause: .init(error, attempted: "bind"),
                remedy: "Name another directory with --state-dir")
        }
    }

    deinit { try? Files.remove(FilePath(Self.name(uuid)), at: folder.raw) }

    private static func name(_ uuid: String) -> String { uuid + ".socket" }

    /// However long the path of the directory is.
    private static func address(_ uuid: String, _ folder: Int32) -> [UInt8] {
        [UInt8(Sockets.unix), 0] + Array("/proc/self/fd/\(folder)/\(name(uuid))".utf8) + [0]
    }

    /// To wait for a visitor.
    var raw: Int32 { socket.raw }

    /// Lets one in.
    func next() -> Visit {
        guard let visitor = try? Sockets.accept(socket.raw) else { return .nobody }
        var entries = [Files.PollEntry(visitor.raw, .readable)]
        guard let ready = try? Files.poll(&entries, timeout: 1_000_000_000), ready > 0,
            let message = try? Sockets.receive(visitor.raw, atMost: 16)
        else { return .nobody }
        let kept = SharedDescriptor(visitor)
        var ends = message.descriptors
        guard message.payload == [Self.connection], ends.count == 2 else {
            for number in ends { try? Files.close(number) }
            return message.payload == [Self.end] ? .givesUp : .nobody
        }
        let output = OwnedDescriptor(owning: ends.removeLast())
        let input = OwnedDescriptor(owning: ends.removeLast())
        return .source(Wire(input: input, output: output, peer: "the source"), kept)
    }

    // MARK: Visiting

    /// Takes a connection to whoever serves the pages of a tree, and waits until it is not needed any more.
    ///
    /// - Returns: false where nobody does.
    static func bring(_ wire: Wire, _ uuid: String, _ options: Arrival.Options) -> Bool {
        guard let socket = visit(uuid, options) else { return false }
        var message = SocketMessage([connection])
        message.descriptors = wire.numbers
        guard (try? Sockets.send(socket.raw, message)) != nil else { return false }
        // The other end is to see it when the one that serves closes it.
        wire.close()
        var entries = [Files.PollEntry(socket.raw, .peerClosed)]
        while entries[0].returned.isDisjoint(with: [.hangUp, .peerClosed]) {
            _ = try? Files.poll(&entries, timeout: nil, retrying: true)
        }
        return true
    }

    /// Tells whoever serves the pages of a tree that it is not to go on.
    static func giveUp(_ uuid: String, _ options: Arrival.Options) {
        guard let socket = visit(uuid, options) else { return }
        _ = try? Sockets.send(socket.raw, SocketMessage([end]))
    }

    private static func visit(_ uuid: String, _ options: Arrival.Options) -> OwnedDescriptor? {
        guard let folder = try? Files.open(options.stateDirectory.appending("arrivals"), [.readOnly, .directory]),
            let socket = try? Sockets.make(Sockets.unix, Sockets.sequencedPackets)
        else { return nil }
        do throws(Errno) { try Sockets.connect(socket.raw, address(uuid, folder.raw)) } catch { return nil }
        return socket
    }
}
