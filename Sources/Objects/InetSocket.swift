public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A TCP or UDP socket (tcp(7), udp(7)). What a connection of TCP takes beside that is in `TCPConnection.swift`.
public enum InetSocket: DescriptionKind {
    public static let name = "TCP or UDP socket"
    static let tcp: Int32 = 6
    static let udp: Int32 = 17
    static let udpLite: Int32 = 136
    /// The kernel's numbers of the states of TCP, which images have for UDP as well.
    static let established: UInt32 = 1
    static let closed: UInt32 = 7
    static let listening: UInt32 = 10

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        guard let socket = seen.socket, [Sockets.inet, Sockets.inet6].contains(socket.domain) else { return false }
        return (socket.type == Sockets.stream && socket.protocolNumber == tcp)
            || (socket.type == Sockets.datagram && [udp, udpLite].contains(socket.protocolNumber))
    }

    static func isTCP(_ seen: SeenDescriptor) -> Bool {
        recognises(seen) && seen.socket?.protocolNumber == tcp
    }

    public static func label(of seen: SeenDescriptor) -> String {
        seen.socket?.protocolNumber == tcp ? "TCP socket" : "UDP socket"
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        guard seen.socket?.protocolNumber == tcp else {
            return circumstances.sockets.outside(seen) ?? DatagramSocket.obstacle(to: seen)
        }
        do throws(Errno) {
            let copy = try SocketIdentity.open(seen.number, of: seen.pid)
            if let problem = circumstances.sockets.outside(seen, through: copy.raw) { return problem }
            if let problem = signatureObstacle(seen, copy.raw, circumstances) { return problem }
            return streamObstacle(to: seen, copy.raw, try TCPState(copy.raw), circumstances)
        } catch {
            return Problem(
                .objectUnreadable, "the state of the socket cannot be read", object: seen.object,
                cause: .init(error, attempted: "getsockopt(TCP_INFO)"), remedy: "Run Apus as root")
        }
    }

    private static func streamObstacle(
        to seen: SeenDescriptor, _ socket: Int32, _ state: TCPState, _ circumstances: Circumstances
    ) -> Problem? {
        if let problem = waitingObstacle(seen, socket, state, circumstances) { return problem }
        return connectionObstacle(seen, socket, state, circumstances)
    }

    /// The other end of a socket of TCP or UDP; nil where it has none.
    ///
    /// getpeername(2) fails while a connection of TCP is being made; sock_diag(7) knows.
    static func peer(
        of socket: Int32, _ seen: SeenDescriptor, _ sockets: SocketTable
    ) throws(Errno) -> InetAddress? {
        do throws(Errno) { return InetAddress(try Sockets.peerName(of: socket)) } catch {
            guard error == .socketNotConnected else { throw error }
        }
        guard isTCP(seen), let report = sockets.connection(of: seen), report.state == UInt8(TCPState.connecting) else {
            return nil
        }
        var peer = InetAddress(isSix: seen.socket?.domain == Sockets.inet6)
        // The report has an IPv4 address in an IPv6 one as such, and never shorter.
        guard report.peerAddress.count == peer.bytes.count else { return nil }
        peer.bytes = report.peerAddress
        peer.port = report.peerPort
        if peer.isLinkLocal { peer.scope = report.device }
        return peer
    }

    static func peer(of seen: SeenDescriptor) -> String {
        guard let copy = try? SocketIdentity.open(seen.number, of: seen.pid),
            let address = (try? Sockets.peerName(of: copy.raw)).flatMap(InetAddress.init)
        else { return "being opened or closed" }
        return "to \(address)"
    }

    /// What a dump cannot keep of a TCP socket, in words: connections that wait.
    public static func loss(of seen: SeenDescriptor) -> String? {
        guard recognises(seen), seen.socket?.protocolNumber == tcp,
            let copy = try? SocketIdentity.open(seen.number, of: seen.pid)
        else { return nil }
        return waitingConnections(seen, copy.raw)
    }

    // MARK: The dump

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let answers = try descriptions.answers(of: seen)
        return try descriptions.withSocket(seen) { (own) throws(Problem) in
            var (socket, supplement) = (answers.entry, answers.supplement)
            socket.id = descriptions.nextID()
            do throws(Errno) {
                try captureConnection(&socket, seen, own, into: descriptions)
            } catch {
                throw descriptions.unreadable(seen, error, "getsockopt, recv")
            }
            noteZeroCopy(seen, own, descriptions)
            try descriptions.noteWaiting(seen, socket, through: own, &supplement)
            let isDatagram = seen.socket?.type == Sockets.datagram
            if isDatagram { descriptions.noteUnfinished(own, &supplement) }
            descriptions.supplement[.socket, socket.id] = supplement.json
            if isDatagram { descriptions.awaitDatagrams(seen, socket.id, own, supplement) }
            return descriptions.add(socket)
        }
    }

    /// The kernel numbers what is sent with MSG_ZEROCOPY, and a new socket begins anew.
    private static func noteZeroCopy(_ seen: SeenDescriptor, _ socket: Int32, _ descriptions: Descriptions) {
        guard (try? Sockets.number(of: socket, .zeroCopy)) == 1 else { return }
        let sent = try? KernelMemory.use { (kernel) throws(Errno) in
            try kernel.number(kernel.socket(socket), "sock", "sk_zckey")
        }
        if sent == 0 { return }
        descriptions.note(
            loss: "\(seen.object.description): what is sent with MSG_ZEROCOPY is numbered from 0 again"
                + (sent.map { " (it was at \($0))" } ?? ""))
    }

    /// What is asked of it outside of repair mode, but for what `SocketSupplement` asks.
    static func fill(
        _ socket: inout InetSkEntry, from descriptor: Int32, _ peer: InetAddress?
    ) throws(Errno) {
        let isSix = socket.family == UInt32(bitPattern: Sockets.inet6)
        let own = InetAddress(try Sockets.name(of: descriptor)) ?? InetAddress(isSix: isSix)
        socket.take(own: own, peer: peer)
        // Of a link-local address: the name of the interface.
        let scope = own.scope != 0 ? own.scope : peer?.scope ?? 0
        if scope != 0 { socket.ifname = try Sockets.interface(numbered: Int32(bitPattern: scope), descriptor) }
        socket.opts = try SocketOptions.capture(descriptor, isUnix: false)
        if isSix { socket.v6Only = try Sockets.number(of: descriptor, 26, level: ipv6) != 0 }
        socket.ipOpts = try internetOptions(descriptor, isSix: isSix)
        socket.tcpOpts = TcpOptsEntry()
        socket.backlog = 0
        if socket.proto == UInt32(tcp) {
            let state = try TCPState(descriptor)
            socket.state = state.number
            if state.number == listening { socket.backlog = state.backlog }
            for option in tcpOptions {
                option.record(UInt32(bitPattern: try Sockets.number(of: descriptor, option.name, level: tcp)), &socket)
            }
        } else {
            socket.state = peer == nil ? closed : established
        }
    }

    static let ipv6: Int32 = 41

    private static func internetOptions(_ descriptor: Int32, isSix: Bool) throws(Errno) -> IpOptsEntry {
        var entry = IpOptsEntry()
        for option in ipOptions where option.isSix == isSix {
            option.record(
                UInt32(bitPattern: try Sockets.number(of: descriptor, option.name, level: isSix ? ipv6 : 0)), &entry)
        }
        return entry
    }
}

extension Sockets {
    /// Whether a read would not block.
    static func isReadable(_ socket: Int32) throws(Errno) -> Bool {
        var entries = [Files.PollEntry(socket, .readable)]
        _ = try Files.poll(&entries, timeout: 0)
        return entries[0].returned.contains(.readable)
    }
}

extension SocketTable {
    /// Why a socket that is no Unix socket cannot be carried because of whose it is.
    ///
    /// - Parameter copy: a descriptor of Apus for it, where there is one already.
    func outside(_ seen: SeenDescriptor, through copy: Int32? = nil) -> Problem? {
        if seen.socket?.networkCookie != networkCookie {
            // One that was made elsewhere, or passed on from there.
            let namespaces = ["self", "\(seen.pid)"].map { try? Files.readLink(FilePath("/proc/\($0)/ns/net")) }
            if namespaces[0] != nil, namespaces[0] == namespaces[1] {
                return Problem(
                    .unsupported, "the socket belongs to another network namespace than its process and Apus",
                    object: seen.object,
                    remedy:
                        "Have the program close it before the dump: it would have to be made in a namespace that the tree"
                        + " does not live in")
            }
            return Problem(
                .unsupported, "the socket belongs to another network namespace than Apus", object: seen.object,
                remedy: "Run Apus in the network namespace of the process: nsenter -t \(seen.pid) -n apus dump ...")
        }
        guard let holder = outside[seen.status.inode] else { return RefusedSocket.obstacle(to: seen, through: copy) }
        return Problem(
            .leadsOutside,
            "the socket is also open in \(SocketTable.describe(holder)), which is outside of the tree",
            object: seen.object,
            remedy: "Dump the tree that has both, or close the socket in one of them"
                + (seen.socket?.domain != Sockets.unix
                    ? ""
                    : ". "
                        + LeftOutside.remedy(
                            dump: "unix[\(seen.status.inode)]", restore: "socket:[\(seen.status.inode)]")))
    }
}
