public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A raw socket (raw(7), ipv6(7)), or one of ICMP for everybody (icmp(7), the sockets of ping).
///
/// What was received and not read is lost, with a warning: a packet that is delivered anew to a raw socket would reach
/// all others of the protocol on the host, too.
public enum RawSocket: DescriptionKind {
    public static let name = "raw socket"
    static let raw: Int32 = 3
    static let (icmp, icmp6): (Int32, Int32) = (1, 58)
    /// ICMP_FILTER of level SOL_RAW, and ICMPV6_FILTER of level SOL_ICMPV6: 4 and 32 bytes.
    static func filter(isSix: Bool) -> (level: Int32, option: Int32, size: Int) {
        isSix ? (icmp6, 1, 32) : (255, 1, 4)
    }

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        guard let socket = seen.socket, [Sockets.inet, Sockets.inet6].contains(socket.domain) else { return false }
        return socket.type == raw || PingSocket.isOne(socket.type, socket.protocolNumber)
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        circumstances.sockets.outside(seen)
    }

    /// What a dump cannot keep of it, in words.
    public static func loss(of seen: SeenDescriptor) -> String? {
        recognises(seen) ? Sockets.packetsLost(of: seen, name) : nil
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let own = try descriptions.open(seen)
        var socket = try descriptions.inetEntry(seen, through: own.raw)
        do throws(Errno) {
            try fill(&socket, from: own.raw)
        } catch {
            throw descriptions.unreadable(seen, error, "getsockopt, getsockname")
        }
        _ = try descriptions.supplement(seen, socket.id, through: own.raw)
        return descriptions.add(socket)
    }

    private static func fill(_ socket: inout InetSkEntry, from descriptor: Int32) throws(Errno) {
        let isSix = socket.family == UInt32(bitPattern: Sockets.inet6)
        let own = InetAddress(try Sockets.name(of: descriptor)) ?? InetAddress(isSix: isSix)
        let peer = (try? Sockets.peerName(of: descriptor)).flatMap(InetAddress.init)
        socket.take(own: own, peer: peer)
        socket.backlog = 0
        socket.state = peer == nil ? InetSocket.closed : InetSocket.established
        socket.opts = try SocketOptions.capture(descriptor, isUnix: false)
        let level = isSix ? InetSocket.ipv6 : 0
        for option in InetSocket.ipOptions where option.isSix == isSix {
            option.record(
                UInt32(bitPattern: try Sockets.number(of: descriptor, option.name, level: level)), &socket.ipOpts)
        }
        guard socket.type == UInt32(bitPattern: raw) else { return }
        for option in RawSocketEnd.options where option.isSix == isSix {
            let value = try Sockets.number(of: descriptor, option.name, level: level)
            if value != 0 { option.record(&socket.ipOpts.raw) }
        }
        guard socket.proto == UInt32(isSix ? icmp6 : icmp) else { return }
        let (place, option, size) = filter(isSix: isSix)
        let bytes = try Sockets.bytes(of: descriptor, option, level: place, atMost: size)
        socket.ipOpts.raw.icmpvFilter = stride(from: 0, to: bytes.count, by: 4).map { start in
            (0..<4).reduce(0) { $0 | UInt32(start + $1 < bytes.count ? bytes[start + $1] : 0) << UInt32(8 * $1) }
        }
    }
}

/// A socket of ICMP for everybody: only members of certain groups may have one (net.ipv4.ping_group_range).
enum PingSocket {
    static func isOne(_ type: Int32, _ number: Int32) -> Bool {
        type == Sockets.datagram && [RawSocket.icmp, RawSocket.icmp6].contains(number)
    }

    /// socket(2) of any kind; of this one by a member of a group that may.
    static func make(_ domain: Int32, _ type: Int32, _ number: Int32) throws(Errno) -> OwnedDescriptor {
        do throws(Errno) {
            return try Sockets.make(domain, type, number)
        } catch {
            guard error == .permissionDenied, isOne(type, number), let group = Sockets.pingGroups()?.lowerBound else {
                throw error
            }
            let member = StandIn(pid: 0, uid: Processes.effectiveUser, gid: group)
            return try Sockets.make(domain, type, number, as: member)
        }
    }

    /// A new socket of a kind to compare with, or one that has the same options where the kind cannot be made here.
    static func fresh(_ identity: SocketIdentity) throws(Errno) -> OwnedDescriptor {
        do throws(Errno) {
            return try make(identity.domain, identity.type, identity.protocolNumber)
        } catch {
            guard isOne(identity.type, identity.protocolNumber) else { throw error }
            return try Sockets.make(identity.domain, identity.type, InetSocket.udp)
        }
    }
}
