public import Diagnostics
internal import Images
internal import Linux
public import SystemPackage
internal import Tracing

// Connections of TCP at the dump: which there are, and what the kernel knows of each.

extension TCPState {
    /// The states of a connection that can go on: SYN_SENT, ESTABLISHED, FIN_WAIT1 and 2, CLOSE_WAIT, LAST_ACK, CLOSING.
    static let alive: Set<UInt32> = [1, 2, 4, 5, 8, 9, 11]
    static let (established, connecting): (UInt32, UInt32) = (1, 2)
    static let (waiting1, waiting2, closeWait, lastAcknowledgement, closing): (UInt32, UInt32, UInt32, UInt32, UInt32) =
        (4, 5, 8, 9, 11)

    /// The other end has said that it sends nothing more.
    static func hasReceivedEnd(_ state: UInt32) -> Bool {
        [closeWait, lastAcknowledgement, closing].contains(state)
    }

    /// This end has said so, and whether that has been acknowledged.
    static func hasSentEnd(_ state: UInt32) -> Bool {
        [waiting1, waiting2, lastAcknowledgement, closing].contains(state)
    }
}

/// The connections of a tree while it is dumped: locked, and under a guard.
public final class HeldConnections {
    private var sockets: [SharedDescriptor]
    private let places: [UInt64: Int]
    private let sharing: [Bool]
    private var watch: ConnectionGuard?
    private var lock: NetworkLock.Passing?
    /// The lock that stays when the tree has been ended.
    public let keptName: String?
    private let connections: Set<PacketFilter.Connection>
    /// Where the tree listens, and what is said of the lock that stays.
    private let ports: Set<UInt16>
    private let comment: String
    private var isKept = false

    /// Takes copies of all connections among the descriptors, has them guarded and the network locked.
    ///
    /// - Parameters:
    ///   - victims: the processes of the tree, the root first.
    ///   - keepsLock: the tree will be ended, and the lock is to stay.
    ///   - images: where they are.
    /// - Returns: nil where there are no connections, and nobody whom a lock would have ask again for one.
    /// - Throws: `network-lock`, `object-unreadable`.
    public init?(
        among descriptors: [SeenDescriptor], victims: [Int32], locksNetwork: Bool, keepsLock: Bool,
        images: FilePath?, through descriptions: Descriptions
    ) throws(Problem) {
        var (sockets, places, sharing): ([SharedDescriptor], [UInt64: Int], [Bool]) = ([], [:], [])
        var connections: Set<PacketFilter.Connection> = []
        for seen in descriptors where InetSocket.isTCP(seen) {
            if places[seen.status.inode] != nil { continue }
            let own = try descriptions.open(seen)
            do throws(Errno) {
                let state = try TCPState(own.raw)
                if state.number == InetSocket.listening, state.waiting > 0, descriptions.circumstances.carriesWaiting {
                    connections.formUnion(try InetSocket.waitingStreams(own.raw).map(\.ends))
                }
                guard TCPState.alive.contains(state.number) else { continue }
                places[seen.status.inode] = sockets.count
                sharing.append(try Sockets.number(of: own.raw, .reuseAddress) != 0)
                let sockets = descriptions.circumstances.sockets
                let ends = (
                    InetAddress(try Sockets.name(of: own.raw)), try InetSocket.peer(of: own.raw, seen, sockets)
                )
                if let local = ends.0, let remote = ends.1 {
                    connections.insert(.init(own: local.end, other: remote.end))
                }
            } catch {
                throw descriptions.unreadable(seen, error, "getsockname, getpeername")
            }
            sockets.append(SharedDescriptor(own))
        }
        ports = descriptions.circumstances.sockets.listeningPorts
        // Without connections there are those who ask for some while the tree is away.
        let isForNewcomers = sockets.isEmpty && connections.isEmpty
        if isForNewcomers && (ports.isEmpty || !keepsLock || !locksNetwork) { return nil }
        (self.sockets, self.places, self.sharing, self.connections) = (sockets, places, sharing, connections)
        comment = KeptLock.comment(connections: connections.count, of: victims.first ?? 0, images: images)
        // Both locks have it behind their prefixes: a kept lock whose other one is there is at work.
        let identity = try RandomName.make()
        keptName = keepsLock && locksNetwork ? NetworkLock.keptPrefix + identity : nil
        do throws(Problem) {
            if locksNetwork { lock = try NetworkLock.Passing(connections, identity: identity) }
        } catch {
            // They are refused then.
            if isForNewcomers { return nil }
            throw error
        }
        do throws(Errno) {
            watch = try ConnectionGuard(
                zip(sockets, sharing).map { .init(socket: $0.descriptor.raw, sharesAddress: $1) },
                keeping: lock.map { [$0.socket.raw] } ?? [], victims: victims,
                undecided: .init(.leaveCurrent, keptName.map(PacketFilter.removing) ?? []),
                decided: .init([.killTree, .enterAll]))
        } catch {
            throw Problem(
                .objectUnreadable, "the guard of \(sockets.count) TCP connections cannot be started",
                cause: .init(error, attempted: "clone"), remedy: "See that there is room for one more process")
        }
    }

    public var count: Int { sockets.count }

    /// Whether it is one of them, or of those that nobody has accepted yet.
    func covers(_ connection: PacketFilter.Connection) -> Bool { connections.contains(connection) }

    /// The addresses of this host that they lead from: a host that restores them has to have these.
    public var addresses: [String] { InetAddress.hosts(connections.map(\.own.address)) }

    /// The copy of a connection, by its inode; it stays for as long as the tree stands still.
    func socket(of inode: UInt64) -> Int32? { places[inode].map { sockets[$0].descriptor.raw } }

    /// Reads a connection in repair mode, which it leaves again whatever happens.
    func withRepair<R>(_ inode: UInt64, _ body: (Int32) throws(Errno) -> R) throws(Errno) -> R? {
        guard let place = places[inode] else { return nil }
        let socket = sockets[place].descriptor.raw
        watch?.isWorking(at: place)
        defer { watch?.isWorking(at: nil) }
        Steps.take()
        try Sockets.setRepair(socket, .on)
        Steps.take()
        let result = Result { () throws(Errno) in try body(socket) }
        try Sockets.setRepair(socket, .silentlyOff)
        if sharing[place] { try Sockets.set(socket, .reuseAddress, to: 1) }
        return try result.get()
    }

    /// Makes the lock that stays, where there is to be one.
    ///
    /// - Throws: `network-lock`.
    public func keepLock() throws(Problem) {
        guard let keptName else { return }
        Steps.take()
        isKept = true
        try NetworkLock.keep(keptName, connections, closing: ports, comment: comment)
    }

    /// From here on the tree is to end. Its connections end with it, without a word to their other ends.
    public func surrender() {
        watch?.decide()
        isKept = false
        for socket in sockets {
            // One that the other end has just broken off has nothing to say any more.
            try? Sockets.setRepair(socket.descriptor.raw, .on)
        }
        Steps.take()
    }

    /// Lets go: the tree runs on, or has ended. The lock that stays goes too if the tree has not been ended.
    public func release() {
        if isKept, let keptName { NetworkLock.remove(keptName) }
        isKept = false
        watch?.dismiss()
        watch = nil
        lock = nil
        // A copy would keep alive what the program closes.
        sockets = []
    }

    deinit { release() }
}

@available(*, unavailable)
extension HeldConnections: Sendable {}

extension InetAddress {
    /// As the packet filter sees it: an IPv4 address in an IPv6 one is an IPv4 address.
    var end: PacketFilter.End {
        .init(address: isMapped ? Array(bytes.suffix(4)) : bytes, port: port)
    }

    /// An IPv4 address in an IPv6 one.
    var isMapped: Bool { isSix && bytes.starts(with: [UInt8](repeating: 0, count: 10) + [0xff, 0xff]) }
}

/// A connection as images have it: `tcp-stream-*.img`.
struct TCPStreamCapture {
    var entry = TcpStreamEntry()
    var received: [UInt8] = []
    var sent: [UInt8] = []

    /// What can be seen without repair mode, which is the most.
    init(_ socket: Int32, _ state: TCPState) throws(Errno) {
        // TCPI_OPT_TIMESTAMPS, TCPI_OPT_SACK, TCPI_OPT_WSCALE.
        entry.optMask = UInt32(state.options) & 7
        entry.sndWscale = UInt32(state.scales & 15)
        entry.rcvWscale = UInt32(state.scales >> 4)
        entry.timestamp = UInt32(
            bitPattern: try Sockets.number(of: socket, Sockets.TCPOption.timestamp, level: Sockets.tcpLevel))
        entry.cork = try Sockets.number(of: socket, 3, level: Sockets.tcpLevel) != 0
        entry.nodelay = try Sockets.number(of: socket, 1, level: Sockets.tcpLevel) != 0
        received = try Self.peek(socket, try Files.readableBytes(socket))
        entry.inqLen = UInt32(received.count)
    }

    /// What takes repair mode.
    mutating func complete(_ socket: Int32, _ state: UInt32) throws(Errno) {
        try Sockets.chooseQueue(socket, .receive)
        entry.inqSeq = try Sockets.queueSequence(socket)
        try Sockets.chooseQueue(socket, .send)
        entry.outqSeq = try Sockets.queueSequence(socket)
        var (open, unsent) = (try Sockets.unacknowledged(socket), try Sockets.unsent(socket))
        // A FIN is the last in the queue and no byte of it.
        if TCPState.hasSentEnd(state) && open > 0 {
            open -= 1
            unsent = max(0, unsent - 1)
        }
        if state == TCPState.connecting { (open, unsent) = (0, 0) }
        sent = open > 0 ? try Sockets.peekStream(socket, atMost: open) : []
        guard sent.count == open else { throw .ioError }
        entry.outqLen = UInt32(open)
        entry.unsqLen = UInt32(unsent)
        entry.mssClamp = UInt32(
            bitPattern: try Sockets.number(of: socket, Sockets.TCPOption.largestSegment, level: Sockets.tcpLevel))
        let window = try Sockets.repairWindow(socket)
        entry.sndWl1 = window.updatedAt
        entry.sndWnd = window.sendWindow
        entry.maxWindow = window.largestWindow
        entry.rcvWnd = window.receiveWindow
        entry.rcvWup = window.receiveUpdate
    }

    /// What was received and not read. A look would move an offset that the program has set (SO_PEEK_OFF).
    private static func peek(_ socket: Int32, _ count: Int) throws(Errno) -> [UInt8] {
        if count == 0 { return [] }
        let offset = try? Sockets.number(of: socket, .peekOffset)
        if let offset, offset >= 0 { try Sockets.set(socket, .peekOffset, to: -1) }
        let result = Result { () throws(Errno) in try Sockets.peekStream(socket, atMost: count) }
        if let offset, offset >= 0 { try Sockets.set(socket, .peekOffset, to: offset) }
        let bytes = try result.get()
        // Urgent data would stand in the way.
        guard bytes.count == count else { throw .ioError }
        return bytes
    }
}
