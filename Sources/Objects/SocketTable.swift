public import Diagnostics
public import Linux
internal import SystemPackage

/// Who is connected to whom, as seen from a tree: what decides which sockets lead outside.
public struct SocketTable: Sendable {
    /// All Unix sockets of the network namespace, by inode.
    public private(set) var unix: [UInt32: UnixSocketReport] = [:]
    /// All TCP sockets of the network namespace that have descriptors, by inode, where the tree has any.
    public private(set) var tcp: [UInt32: TCPSocketReport] = [:]
    /// The inodes of all sockets that the tree has open.
    public private(set) var held: Set<UInt64> = []
    /// Of sockets that a process outside of the tree has open: that process.
    public private(set) var outside: [UInt64: Int32] = [:]
    /// Where a socket waits to be accepted: the listening socket.
    public private(set) var connecting: [UInt32: UInt32] = [:]
    /// The network namespace that Apus is in.
    public private(set) var networkCookie: UInt64?

    public init() {}

    /// Looks around for the sockets among the descriptors of a tree.
    ///
    /// - Parameter searchingOutside: also find out which other processes have them or their other ends open, which
    ///   means to look at the descriptors of every process of the host.
    /// - Throws: `object-unreadable`.
    public init(of seen: [SeenDescriptor], in pids: Set<Int32>, searchingOutside: Bool) throws(Problem) {
        let sockets = seen.filter { $0.status.kind == .socket }
        guard let first = sockets.first else { return }
        held = Set(sockets.map(\.status.inode))
        do throws(Errno) {
            unix = try Self.unixSockets(among: sockets)
            let own = try Sockets.make(Sockets.unix, Sockets.stream)
            networkCookie = SocketIdentity(own.raw)?.networkCookie
        } catch {
            throw Problem(
                .objectUnreadable, "the kernel does not tell of its Unix sockets", object: first.object,
                cause: .init(error, attempted: "a question to NETLINK_SOCK_DIAG"),
                remedy: "The kernel needs CONFIG_UNIX_DIAG (modprobe unix_diag)")
        }
        if let socket = sockets.first(where: InetSocket.isTCP) { tcp = try Self.tcpSockets(socket) }
        for report in unix.values where report.state == .listening {
            for client in report.waiting where client != 0 { connecting[client] = report.inode }
        }
        guard searchingOutside else { return }
        var wanted = held
        for inode in held {
            guard let report = UInt32(exactly: inode).flatMap({ unix[$0] }) else { continue }
            wanted.formUnion((report.waiting + [report.peer ?? 0, connecting[report.inode] ?? 0]).map(UInt64.init))
        }
        outside = Self.holders(of: wanted, outside: pids)
    }

    /// A long answer of the kernel comes in parts, and passes sockets over where others have gone between two of them: it
    /// is asked again, a few times, while one is missing that is open.
    private static func unixSockets(among held: [SeenDescriptor]) throws(Errno) -> [UInt32: UnixSocketReport] {
        let wanted = held.filter { $0.socket?.domain == Sockets.unix }.compactMap { UInt32(exactly: $0.status.inode) }
        var found: [UInt32: UnixSocketReport] = [:]
        for _ in 1...5 {
            found.merge(try UnixSocketReport.all()) { _, new in new }
            if wanted.allSatisfy({ found[$0] != nil }) { break }
        }
        return found
    }

    /// - Throws: `object-unreadable` where the kernel does not tell, and there is something that it could tell of.
    private static func tcpSockets(_ seen: SeenDescriptor) throws(Problem) -> [UInt32: TCPSocketReport] {
        do throws(Errno) { return try TCPSocketReport.all() } catch {
            // Without signatures there is one thing left that only such a report has, and is missed when it is needed: the
            // other end of a connection that is being made.
            if !Sockets.canSign { return [:] }
            throw Problem(
                .objectUnreadable, "the kernel does not tell of its TCP sockets, of which one could sign its segments",
                object: seen.object, cause: .init(error, attempted: "a question to NETLINK_SOCK_DIAG"),
                remedy: "The kernel needs CONFIG_INET_TCP_DIAG (modprobe tcp_diag)")
        }
    }

    /// Which processes outside of a tree have sockets open.
    private static func holders(of sockets: Set<UInt64>, outside pids: Set<Int32>) -> [UInt64: Int32] {
        var found: [UInt64: Int32] = [:]
        let own = Processes.current
        let names = Dictionary(uniqueKeysWithValues: sockets.map { (Array("socket:[\($0)]".utf8), $0) })
        for pid in (try? Procfs.live.processes()) ?? [] where pid != own && !pids.contains(pid) {
            let directory = ProcessDirectory(pid)
            // What has ended meanwhile, or does not let itself be looked at, holds nothing that could be told.
            let numbers = (try? directory.descriptors()) ?? []
            // The client of a server with thousands of connections has as many.
            let held = Workers.map(numbers.count, worthwhile: 256) { place in
                (try? directory.descriptorLink(numbers[place])).flatMap { names[$0] }
            }
            for socket in held { if let socket { found[socket] = pid } }
        }
        return found
    }

    /// What the kernel tells of a TCP socket.
    func connection(of seen: SeenDescriptor) -> TCPSocketReport? {
        UInt32(exactly: seen.status.inode).flatMap { tcp[$0] }
    }

    /// The addresses of this host that the established connections of the tree lead from, for people: a host that restores
    /// them has to have these.
    public var connectionAddresses: [String] {
        InetAddress.hosts(
            tcp.filter { held.contains(UInt64($0.key)) && TCPState.alive.contains(UInt32($0.value.state)) }
                .map(\.value.address))
    }

    /// What the kernel tells of a Unix socket.
    func report(of seen: SeenDescriptor) -> UnixSocketReport? {
        UInt32(exactly: seen.status.inode).flatMap { unix[$0] }
    }

    /// A process by its number and name, for messages.
    static func describe(_ pid: Int32) -> String {
        let name = (try? ProcessDirectory(pid).name()).map { String(decoding: $0, as: UTF8.self) }
        return "process \(pid)" + (name.map { " (\($0))" } ?? "")
    }
}
