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

    public static func label(of seen: SeenDescriptor) -> String {
        seen.socket?.protocolNumber == tcp ? "TCP socket" : "UDP socket"
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if let problem = circumstances.sockets.outside(seen) { return problem }
        guard seen.socket?.protocolNumber == tcp else { return DatagramSocket.obstacle(to: seen) }
        do throws(Errno) {
            let copy = try SocketIdentity.open(seen.number, of: seen.pid)
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
        if state.number == listening && state.waiting > 0 && !circumstances.skipsInFlight {
            return Problem(
                .underWay, "\(state.waiting) TCP connections wait to be accepted", object: seen.object,
                remedy: "Dump again when the process has served them, or give --skip-in-flight, which breaks them off")
        }
        return connectionObstacle(seen, socket, state, circumstances)
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
        let own = try descriptions.open(seen)
        guard let identity = seen.socket else { throw descriptions.unreadable(seen, .badFileDescriptor, "getsockopt") }
        var socket = InetSkEntry()
        socket.id = descriptions.nextID()
        socket.ino = UInt32(truncatingIfNeeded: seen.status.inode)
        socket.family = UInt32(bitPattern: identity.domain)
        socket.type = UInt32(bitPattern: identity.type)
        socket.proto = UInt32(bitPattern: identity.protocolNumber)
        socket.flags = seen.descriptionFlags
        socket.fown = try descriptions.owner(of: seen, through: own.raw)
        socket.nsID = 2
        do throws(Errno) {
            try fill(&socket, from: own.raw)
            try captureConnection(&socket, seen, own.raw, into: descriptions)
        } catch {
            throw descriptions.unreadable(seen, error, "getsockopt, getsockname, recv")
        }
        let supplement = try descriptions.supplement(seen, socket.id, through: own.raw)
        if identity.type == Sockets.datagram { descriptions.awaitDatagrams(seen, socket.id, own.raw, supplement) }
        var entry = FileEntry()
        entry.type = .inetsk
        entry.id = socket.id
        entry.isk = socket
        descriptions.add(entry)
        return DescriptionKey(.inetsk, socket.id)
    }

    private static func fill(_ socket: inout InetSkEntry, from descriptor: Int32) throws(Errno) {
        let isSix = socket.family == UInt32(bitPattern: Sockets.inet6)
        let own = InetAddress(try Sockets.name(of: descriptor)) ?? InetAddress(isSix: isSix)
        let peer = (try? Sockets.peerName(of: descriptor)).flatMap(InetAddress.init)
        let other = peer ?? InetAddress(isSix: isSix)
        socket.srcPort = UInt32(own.port)
        socket.dstPort = UInt32(other.port)
        socket.srcAddr = own.words
        socket.dstAddr = other.words
        // Of a link-local address: the name of the interface.
        let scope = own.scope != 0 ? own.scope : other.scope
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
    func outside(_ seen: SeenDescriptor) -> Problem? {
        if seen.socket?.networkCookie != networkCookie {
            return Problem(
                .unsupported, "the socket belongs to another network namespace than Apus", object: seen.object,
                remedy: "Run Apus in the network namespace of the process: nsenter -t \(seen.pid) -n apus dump ...")
        }
        guard let holder = outside[seen.status.inode] else { return RefusedSocket.obstacle(to: seen) }
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
