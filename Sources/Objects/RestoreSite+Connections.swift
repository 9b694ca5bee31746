public import Diagnostics
internal import Linux
internal import SystemPackage
internal import Tracing

/// What a restore does for TCP connections beside making them.
public final class ConnectionsAtRestore {
    /// In repair mode until the tree is released.
    var sockets: [RepairedConnection] = []
    private var lock: NetworkLock.Passing?
    /// The lock that the dump has left, where it is in this network namespace.
    private var kept: String?
    private var watch: ConnectionGuard?
    /// A connection has been made, of which the number is not known yet by which the tree inherits it: SO_REUSEADDR of it.
    private var latest: Bool?

    func madeOne(sharesAddress: Bool) { latest = sharesAddress }

    /// Keeps what has been opened, under the number by which the tree inherits it, if it is a connection: until the tree is
    /// released. With a number more for each, half as many would be possible.
    public func keep(_ number: Int32) {
        guard let sharesAddress = latest else { return }
        sockets.append(.init(OwnedDescriptor(owning: number), sharesAddress: sharesAddress))
        latest = nil
    }

    /// Forgets what was made for an attempt that was taken back.
    func beginAnew() {
        sockets = []
        latest = nil
    }

    /// The numbers that are kept.
    public var numbers: Set<Int32> { Set(sockets.map { $0.socket.raw }) }

    /// Keeps the network away from the connections that are to be made, unless the dump's lock still does.
    ///
    /// - Parameter left: the name of the lock that the dump has left.
    /// - Returns: whether there are connections.
    /// - Throws: `network-lock`; `object-unsupported` where the name is none that a lock may have.
    public func lockNetwork(
        for resources: [any Resource], locksNetwork: Bool, left: String?
    ) throws(Problem) -> Bool {
        let connections = Set(resources.compactMap { $0 as? InetSocketEnd }.flatMap(\.connections))
        if let left, !NetworkLock.isKept(left) {
            throw Problem(
                .objectUnsupported, "the supplement names a lock of the network that is none of Apus'",
                remedy: "Copy the images again, all of them")
        }
        if let left, NetworkLock.isThere(left) { kept = left }
        if let kept {
            // The kept lock does the work; this one tells that it is in use.
            lock = try NetworkLock.Passing([], identity: String(kept.dropFirst(NetworkLock.keptPrefix.count)))
        } else if locksNetwork && !connections.isEmpty {
            lock = try NetworkLock.Passing(connections)
        }
        return !connections.isEmpty
    }

    /// Has the connections watched, so that they leave repair mode even if Apus is killed.
    ///
    /// - Parameters:
    ///   - word: the address of the commit word.
    ///   - channels: the lifelines of the tree, which goes on only when its connections do.
    /// - Throws: `file-unopenable`.
    public func watch(word: UInt, channels: [Int32]) throws(Problem) {
        if sockets.isEmpty { return }
        do throws(Errno) {
            watch = try ConnectionGuard(
                sockets.map { .init(socket: $0.socket.raw, sharesAddress: $0.sharesAddress) },
                keeping: channels + (lock.map { [$0.socket.raw] } ?? []), victims: [], undecided: .init([]),
                decided: .init(.leaveAll, kept.map(PacketFilter.removing) ?? []), word: word)
        } catch {
            throw Problem(
                .fileUnopenable, "the guard of \(sockets.count) TCP connections cannot be started",
                cause: .init(error, attempted: "clone"), remedy: "See that there is room for one more process")
        }
    }

    /// The tree is about to run: its connections are what they were. Nothing of this can fail in a way that matters.
    public func release() {
        // The network comes first: each connection asks its other end for an acknowledgement as it leaves the mode.
        if let kept { NetworkLock.remove(kept) }
        lock = nil
        Steps.take()
        for one in sockets {
            try? Sockets.setRepair(one.socket.raw, .off)
            if one.sharesAddress { try? Sockets.set(one.socket.raw, .reuseAddress, to: 1) }
        }
        Steps.take()
        sockets = []
        // It has the lifelines too.
        watch?.dismiss()
        watch = nil
    }

    /// Forgets all: the sockets end without a word, and what the dump has locked stays locked.
    public func abandon() {
        watch?.dismiss()
        watch = nil
        sockets = []
        lock = nil
    }
}

@available(*, unavailable)
extension ConnectionsAtRestore: Sendable {}

extension InetSocketEnd {
    /// The addresses that the TCP connections among them lead from, for people.
    public static func connectionAddresses(_ resources: [any Resource]) -> [String] {
        InetAddress.hosts(resources.compactMap { $0 as? InetSocketEnd }.flatMap(\.connections).map(\.own.address))
    }

    /// What has to be locked for it.
    var connections: [PacketFilter.Connection] {
        stream == nil ? streams.map(\.stream.ends) : [.init(own: own.end, other: peer.end)]
    }
}
