internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Options of a socket on other levels than SOL_SOCKET that are not as a new socket has them, and that the messages have
/// no field for (ip(7), ipv6(7), udp(7), netlink(7)). In the supplement: `levels`, numbers by level and option;
/// `interfaces`, the name of a network device in the same order.
struct SocketLevels: Equatable, Sendable {
    /// A number, by level and option.
    var settings: [Option: Int32] = [:]
    /// A network device by its name: its number is another on each host.
    var interfaces: [Option: String] = [:]

    /// Which option of which level.
    struct Option: Hashable, Sendable {
        var level: Int32
        var name: Int32
    }

    private static let (ip, udp, ipv6, udpLite, netlink): (Int32, Int32, Int32, Int32, Int32) = (0, 17, 41, 136, 270)

    /// Options that are numbers (linux/in.h, linux/in6.h, linux/udp.h, linux/netlink.h).
    private static let numbers: [Int32: [Int32]] = [
        // HDRINCL, RECVOPTS, RETOPTS, MTU_DISCOVER, RECVERR, RECVTTL, RECVTOS, PASSSEC, TRANSPARENT, RECVORIGDSTADDR,
        // MINTTL, NODEFRAG, CHECKSUM, BIND_ADDRESS_NO_PORT, RECVFRAGSIZE, RECVERR_RFC4884, MULTICAST_IF, _TTL, _LOOP,
        // _ALL, LOCAL_PORT_RANGE
        ip: [3, 6, 7, 10, 11, 12, 13, 18, 19, 20, 21, 22, 23, 24, 25, 26, 32, 33, 34, 49, 51],
        // CORK, ENCAP, NO_CHECK6_TX, NO_CHECK6_RX, SEGMENT, GRO
        udp: [1, 100, 101, 102, 103, 104],
        // CORK, SEND_CSCOV, RECV_CSCOV and those of UDP
        udpLite: [1, 10, 11, 101, 102],
        // The older PKTINFO, HOPOPTS, DSTOPTS, RTHDR and HOPLIMIT, and CHECKSUM; FLOWINFO, UNICAST_HOPS, MULTICAST_HOPS,
        // _LOOP, MTU_DISCOVER, RECVERR, MULTICAST_ALL, ROUTER_ALERT_ISOLATE, RECVERR_RFC4884, FLOWINFO_SEND, HDRINCL;
        // RECVHOPLIMIT, RECVHOPOPTS, RECVRTHDR, RECVDSTOPTS, RECVPATHMTU, DONTFRAG, RECVTCLASS, TCLASS, AUTOFLOWLABEL,
        // ADDR_PREFERENCES, MINHOPCOUNT, ORIGDSTADDR, TRANSPARENT, RECVFRAGSIZE
        ipv6: [
            2, 3, 4, 5, 7, 8, 11, 16, 18, 19, 23, 25, 29, 30, 31, 33, 36, 51, 53, 56, 58, 60, 62, 66, 67, 70, 72, 73,
            74, 75, 77,
        ],
        // PKTINFO, BROADCAST_ERROR, NO_ENOBUFS, LISTEN_ALL_NSID, CAP_ACK, EXT_ACK, GET_STRICT_CHK
        netlink: [3, 4, 5, 8, 10, 11, 12],
        // TX_HAS_OFF, QDISC_BYPASS, IGNORE_OUTGOING
        PacketSocket.level: [19, 20, 23],
    ]

    /// Options that are the number of a network device, and whether the bytes of that are in the order of the network.
    private static let devices: [Option: Bool] = [
        Option(level: ip, name: 50): true, Option(level: ipv6, name: 17): false, Option(level: ipv6, name: 76): true,
    ]

    /// What has to be set before a socket is bound: that it may have an address which is not the host's (TRANSPARENT), and
    /// how its port is found (BIND_ADDRESS_NO_PORT, LOCAL_PORT_RANGE).
    private static let early: Set<Option> = [
        Option(level: ip, name: 19), Option(level: ip, name: 24), Option(level: ip, name: 51),
        Option(level: ipv6, name: 75),
    ]

    /// What is of no use to streams, and cannot always be set for them: multicast, errors of datagrams, what raw sockets have, and
    /// the older forms of what may be passed beside the data.
    private static let notOfStreams: [Int32: Set<Int32>] = [
        ip: [3, 6, 22, 26, 32, 33, 34, 49], ipv6: [2, 3, 4, 5, 7, 8, 11, 17, 18, 19, 29, 30, 31, 36],
    ]

    init() {}

    /// Compares a socket with a new one of its kind.
    init(of socket: Int32, comparedWith usual: UsualOptions, _ identity: SocketIdentity) throws(Errno) {
        for (option, usual) in usual.levels {
            guard let value = try? Sockets.number(of: socket, option.name, level: option.level), value != usual else {
                continue
            }
            settings[option] = value
        }
        let levels = Self.levels(of: identity)
        for (option, isSwapped) in Self.devices
        where levels.contains(option.level) && Self.isFit(option, for: identity) {
            guard let value = try? Sockets.number(of: socket, option.name, level: option.level), value != 0 else {
                continue
            }
            interfaces[option] = try Sockets.interface(numbered: isSwapped ? value.byteSwapped : value, socket)
        }
    }

    /// The options that are numbers and are asked of such a socket.
    static func numbers(of identity: SocketIdentity) -> [Option] {
        levels(of: identity).flatMap { level in
            (numbers[level] ?? []).map { Option(level: level, name: $0) }.filter { isFit($0, for: identity) }
        }
    }

    private static func isFit(_ option: Option, for identity: SocketIdentity) -> Bool {
        identity.type != Sockets.stream || notOfStreams[option.level]?.contains(option.name) != true
    }

    private static func levels(of identity: SocketIdentity) -> [Int32] {
        switch identity.domain {
        // Sockets of IPv6 speak to hosts of IPv4 by the options of that.
        case Sockets.inet6: [ipv6, ip, identity.protocolNumber]
        case Sockets.inet: [ip, identity.protocolNumber]
        case Sockets.netlink: [netlink]
        case Sockets.packet: [PacketSocket.level]
        default: []
        }
    }

    /// - Parameter beforeBinding: only what has to be set before the socket is bound; else all the others.
    func apply(to socket: Int32, beforeBinding: Bool) throws(Errno) {
        for (option, value) in settings.sorted(by: { ($0.key.level, $0.key.name) < ($1.key.level, $1.key.name) })
        where Self.early.contains(option) == beforeBinding {
            try Sockets.set(socket, option.name, level: option.level, to: value)
        }
        if beforeBinding { return }
        for (option, name) in interfaces {
            let number = try Sockets.number(ofInterface: name, socket)
            let value = Self.devices[option] == true ? number.byteSwapped : number
            try Sockets.set(socket, option.name, level: option.level, to: value)
        }
    }

    // MARK: As JSON

    var members: [JSON.Member] {
        var members: [JSON.Member] = []
        if !settings.isEmpty { members.append(.init("levels", Self.json(settings.mapValues { .integer(Int64($0)) }))) }
        if !interfaces.isEmpty { members.append(.init("interfaces", Self.json(interfaces.mapValues { .string($0) }))) }
        return members
    }

    private static func json(_ values: [Option: JSON]) -> JSON {
        let levels = Dictionary(grouping: values) { $0.key.level }.sorted { $0.key < $1.key }
        return .object(
            levels.map { level, values in
                let values = values.sorted { $0.key.name < $1.key.name }
                return .init("\(level)", .object(values.map { .init("\($0.key.name)", $0.value) }))
            })
    }

    /// - Returns: nil where it is not of this form.
    init?(_ json: JSON) {
        for (option, value) in Self.values(json["levels"]) {
            guard let option, Self.numbers[option.level]?.contains(option.name) == true,
                let number = value.bits.map({ Int32(truncatingIfNeeded: $0) })
            else { return nil }
            settings[option] = number
        }
        for (option, value) in Self.values(json["interfaces"]) {
            guard let option, Self.devices[option] != nil, case .string(let name) = value,
                Sockets.isInterfaceName(name)
            else { return nil }
            interfaces[option] = name
        }
    }

    private static func values(_ json: JSON?) -> [(Option?, JSON)] {
        guard let json else { return [] }
        guard case .object(let levels) = json else { return [(nil, json)] }
        return levels.flatMap { level -> [(Option?, JSON)] in
            guard let number = Int32(level.name), case .object(let options) = level.value else { return [(nil, json)] }
            return options.map { member in
                (Int32(member.name).map { Option(level: number, name: $0) }, member.value)
            }
        }
    }
}
