internal import Images
internal import Linux
internal import SystemPackage

// Options of TCP and IP: a table each, for both directions.

extension InetSocket {
    /// An option of TCP (tcp(7)) and its place in the images.
    struct TCPOption {
        let name: Int32
        let record: (UInt32, inout InetSkEntry) -> Void
        let recorded: (InetSkEntry) -> UInt32?
    }

    /// CRIU 3 has those of keeping alive among the options of all sockets, and the first two with the connection
    /// (`withOlderOptions`).
    static var tcpOptions: [TCPOption] {
        [
            // TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
            TCPOption(
                name: 1, record: { if $0 != 0 { $1.tcpOpts.nodelay = true } },
                recorded: { $0.tcpOpts.nodelay ? 1 : nil }),
            TCPOption(
                name: 3, record: { if $0 != 0 { $1.tcpOpts.cork = true } }, recorded: { $0.tcpOpts.cork ? 1 : nil }),
            TCPOption(
                name: 4, record: { ($1.tcpOpts.keepidle, $1.opts.tcpKeepidle) = ($0, $0) },
                recorded: { $0.tcpOpts.hasKeepidle ? $0.tcpOpts.keepidle : nil }),
            TCPOption(
                name: 5, record: { ($1.tcpOpts.keepintvl, $1.opts.tcpKeepintvl) = ($0, $0) },
                recorded: { $0.tcpOpts.hasKeepintvl ? $0.tcpOpts.keepintvl : nil }),
            TCPOption(
                name: 6, record: { ($1.tcpOpts.keepcnt, $1.opts.tcpKeepcnt) = ($0, $0) },
                recorded: { $0.tcpOpts.hasKeepcnt ? $0.tcpOpts.keepcnt : nil }),
        ]
    }

    /// An option of IP (ip(7), ipv6(7)) and its place in the images.
    struct IPOption {
        let name: Int32
        let isSix: Bool
        let record: (UInt32, inout IpOptsEntry) -> Void
        let recorded: (IpOptsEntry) -> UInt32?
    }

    static var ipOptions: [IPOption] {
        [
            // IP_TOS, IP_TTL, IP_PKTINFO, IP_FREEBIND
            IPOption(
                name: 1, isSix: false, record: { if $0 != 0 { $1.tos = $0 } }, recorded: { $0.hasTos ? $0.tos : nil }),
            IPOption(name: 2, isSix: false, record: { $1.ttl = $0 }, recorded: { $0.hasTtl ? $0.ttl : nil }),
            IPOption(
                name: 8, isSix: false, record: { if $0 != 0 { $1.pktinfo = true } },
                recorded: { $0.pktinfo ? 1 : nil }),
            IPOption(
                name: 15, isSix: false, record: { if $0 != 0 { $1.freebind = true } },
                recorded: { $0.freebind ? 1 : nil }),
            // IPV6_RECVPKTINFO, IPV6_FREEBIND
            IPOption(
                name: 49, isSix: true, record: { if $0 != 0 { $1.pktinfo = true } },
                recorded: { $0.pktinfo ? 1 : nil }),
            IPOption(
                name: 78, isSix: true, record: { if $0 != 0 { $1.freebind = true } },
                recorded: { $0.freebind ? 1 : nil }),
        ]
    }

    /// A message whose options of TCP are where CRIU 4 has them.
    static func withOlderOptions(_ entry: InetSkEntry, _ stream: TcpStreamEntry?) -> InetSkEntry {
        var whole = entry
        if stream?.nodelay ?? false { whole.tcpOpts.nodelay = true }
        if stream?.cork ?? false { whole.tcpOpts.cork = true }
        let (old, new) = (entry.opts, entry.tcpOpts)
        if old.hasTcpKeepidle, !new.hasKeepidle { whole.tcpOpts.keepidle = old.tcpKeepidle }
        if old.hasTcpKeepintvl, !new.hasKeepintvl { whole.tcpOpts.keepintvl = old.tcpKeepintvl }
        if old.hasTcpKeepcnt, !new.hasKeepcnt { whole.tcpOpts.keepcnt = old.tcpKeepcnt }
        return whole
    }

    /// Which of them have to be there before a socket is bound.
    static let beforeBind: Set<Int32> = [15, 78]
}

/// What struct tcp_info tells of a socket (linux/tcp.h).
struct TCPState {
    var number: UInt32
    /// Of a listening socket: connections that wait, and how many may.
    var waiting: UInt32
    var backlog: UInt32
    /// TCPI_OPT_*: what the ends have agreed upon; the window scales, that for sending in the lower four bits.
    var options: UInt8
    var scales: UInt8

    init(_ socket: Int32) throws(Errno) {
        let info: Int32 = 11
        let bytes = try Sockets.bytes(of: socket, info, level: InetSocket.tcp, atMost: 104)
        guard bytes.count >= 32 else { throw .badMessage }
        number = UInt32(bytes[0])
        (options, scales) = (bytes[5], bytes[6])
        // The fields for unacknowledged and selectively acknowledged segments, which mean this here.
        waiting = (0..<4).reduce(0) { $0 | UInt32(bytes[24 + $1]) << UInt32(8 * $1) }
        backlog = (0..<4).reduce(0) { $0 | UInt32(bytes[28 + $1]) << UInt32(8 * $1) }
    }
}

/// struct sockaddr_in and sockaddr_in6.
struct InetAddress: CustomStringConvertible {
    var isSix: Bool
    var port: UInt16 = 0
    /// 4 or 16 bytes, in network order.
    var bytes: [UInt8]
    var scope: UInt32 = 0

    init(isSix: Bool) {
        self.isSix = isSix
        bytes = Array(repeating: 0, count: isSix ? 16 : 4)
    }

    init?(_ address: [UInt8]) {
        guard address.count >= 16, address[0] == UInt8(Sockets.inet) || address[0] == UInt8(Sockets.inet6) else {
            return nil
        }
        isSix = address[0] == UInt8(Sockets.inet6)
        port = UInt16(address[2]) << 8 | UInt16(address[3])
        if isSix {
            guard address.count >= 28 else { return nil }
            bytes = Array(address[8..<24])
            scope = (0..<4).reduce(0) { $0 | UInt32(address[24 + $1]) << UInt32(8 * $1) }
        } else {
            bytes = Array(address[4..<8])
        }
    }

    /// From the images.
    init?(port: UInt32, words: [UInt32], isSix: Bool) {
        guard let port = UInt16(exactly: port), words.count == (isSix ? 4 : 1) else { return nil }
        self.isSix = isSix
        self.port = port
        bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
    }

    /// As images have it: the bytes as they lie in memory, taken as numbers.
    var words: [UInt32] {
        stride(from: 0, to: bytes.count, by: 4).map { start in
            (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
        }
    }

    /// For bind(2) and connect(2).
    var encoded: [UInt8] {
        var encoded: [UInt8] = [UInt8(isSix ? Sockets.inet6 : Sockets.inet), 0]
        encoded += [UInt8(port >> 8), UInt8(port & 0xff)]
        if isSix { encoded += [0, 0, 0, 0] }
        encoded += bytes
        encoded +=
            isSix ? (0..<4).map { UInt8(truncatingIfNeeded: scope >> UInt32(8 * $0)) } : [0, 0, 0, 0, 0, 0, 0, 0]
        return encoded
    }

    /// fe80::/10 (RFC 4291): unique on its network device alone.
    var isLinkLocal: Bool { isSix && bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80 }

    var isUnspecified: Bool { port == 0 && bytes.allSatisfy { $0 == 0 } }

    var description: String { isSix ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Addresses of 4 or 16 bytes as text, each once. One of IPv4 in one of IPv6 is one of IPv4.
    static func hosts(_ addresses: some Sequence<[UInt8]>) -> [String] {
        Set(
            addresses.map { bytes in
                var address = InetAddress(isSix: bytes.count == 16)
                address.bytes = bytes
                return address.isMapped ? address.host4 : address.host
            }
        ).sorted()
    }

    private var host4: String { bytes.suffix(4).map { "\($0)" }.joined(separator: ".") }

    /// The address without the port.
    var host: String {
        guard isSix else { return host4 }
        let groups = stride(from: 0, to: 16, by: 2).map {
            String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
        }
        return groups.joined(separator: ":")
    }
}
