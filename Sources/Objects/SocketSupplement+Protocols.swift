internal import Linux
internal import SystemPackage

/// Options of IP, IPv6 and TCP that images have no field for.
extension SocketSupplement {
    /// The levels by number, and what they are called in the supplement.
    static let levels: [(level: Int32, name: String)] = [(0, "ip"), (InetSocket.ipv6, "ipv6"), (InetSocket.tcp, "tcp")]

    /// The options of each level that are numbers (linux/in.h, linux/in6.h, linux/tcp.h).
    static let protocolNumbers: [Int32: Set<Int32>] = [
        0: [7, 10, 11, 12, 13, 18, 19, 20, 21, 23, 24, 25, 33, 34, 49, 51],
        InetSocket.ipv6: [
            16, 18, 19, 23, 25, 29, 33, 51, 53, 56, 58, 60, 62, 66, 67, 70, 72, 73, 74, 75, 77,
        ],
        InetSocket.tcp: [2, 7, 8, 9, 16, 18, 23, 25, 27, 30, 34, 36, 37, 44, 45, 46],
    ]

    /// The largest segment: of a connection what its ends have agreed upon, and no wish.
    private static let largestSegment: Int32 = 2
    /// What is of no use to streams, and cannot be set for them: multicast.
    private static let notOfStreams: [Int32: Set<Int32>] = [0: [33, 34, 49], InetSocket.ipv6: [18, 19, 29]]
    /// IP_TRANSPARENT and IPV6_TRANSPARENT, IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE.
    private static let beforeAddress: [Int32: Set<Int32>] = [0: [19, 24, 51], InetSocket.ipv6: [75]]

    mutating func addProtocolOptions(of socket: Int32, _ identity: SocketIdentity, _ defaults: SocketDefaults)
        throws(Errno)
    {
        guard [Sockets.inet, Sockets.inet6].contains(identity.domain) else { return }
        let isTCP = identity.protocolNumber == InetSocket.tcp
        var isConnected = false
        if isTCP { isConnected = TCPState.alive.contains(try TCPState(socket).number) }
        for (level, _) in Self.levels where level != InetSocket.tcp || isTCP {
            for option in (Self.protocolNumbers[level] ?? []).sorted() {
                if level == InetSocket.tcp && option == Self.largestSegment && isConnected { continue }
                if isTCP && Self.notOfStreams[level]?.contains(option) == true { continue }
                // What this kernel or this kind of socket does not know is not set.
                guard let usual = try defaults.number(option, level: level, of: identity),
                    let value = try? Sockets.number(of: socket, option, level: level), value != usual
                else { continue }
                // Of a connection that has ended it is what was agreed upon, which may be more than can be wished for.
                if level == InetSocket.tcp && option == Self.largestSegment && value > 0x7fff { continue }
                protocolOptions.append((level, option, value))
            }
        }
        guard isTCP else { return }
        let name = try Self.congestion(socket)
        let usual = try defaults.congestionControl(of: identity)
        if name != usual { congestionControl = name }
    }

    fileprivate static func congestion(_ socket: Int32) throws(Errno) -> String {
        let bytes = try Sockets.bytes(
            of: socket, Sockets.TCPOption.congestionControl, level: Sockets.tcpLevel, atMost: 16)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// What has to be so before a socket has an address.
    func applyTransparency(to socket: Int32) throws(Errno) {
        for (level, option, value) in protocolOptions where Self.beforeAddress[level]?.contains(option) == true {
            try Sockets.set(socket, option, level: level, to: value)
        }
    }

    /// All others.
    func applyProtocolOptions(to socket: Int32) throws(Errno) {
        for (level, option, value) in protocolOptions where Self.beforeAddress[level]?.contains(option) != true {
            try Sockets.set(socket, option, level: level, to: value)
        }
        if let congestionControl {
            try Sockets.set(
                socket, Sockets.TCPOption.congestionControl, level: Sockets.tcpLevel, to: Array(congestionControl.utf8))
        }
    }
}

/// What a new socket of each kind has, asked once.
final class SocketDefaults {
    private struct Kind: Hashable {
        var domain, type, protocolNumber: Int32
        init(_ identity: SocketIdentity) {
            (domain, type, protocolNumber) = (identity.domain, identity.type, identity.protocolNumber)
        }
    }

    private struct Question: Hashable {
        var kind: Kind
        var level, option: Int32
    }

    private var fresh: [Kind: SharedFile] = [:]
    private var numbers: [Question: Int32?] = [:]
    private var congestion: [Kind: String] = [:]

    private func socket(_ identity: SocketIdentity) throws(Errno) -> Int32 {
        let kind = Kind(identity)
        if let known = fresh[kind] { return known.descriptor.raw }
        let made = SharedFile(try Sockets.make(identity.domain, identity.type, identity.protocolNumber))
        fresh[kind] = made
        return made.descriptor.raw
    }

    /// An option that is a number; nil where this kernel or this kind of socket does not know it.
    func number(_ option: Int32, level: Int32, of identity: SocketIdentity) throws(Errno) -> Int32? {
        let question = Question(kind: Kind(identity), level: level, option: option)
        if let known = numbers[question] { return known }
        let value = try? Sockets.number(of: try socket(identity), option, level: level)
        numbers[question] = .some(value)
        return value
    }

    func congestionControl(of identity: SocketIdentity) throws(Errno) -> String {
        if let known = congestion[Kind(identity)] { return known }
        let name = try SocketSupplement.congestion(try socket(identity))
        congestion[Kind(identity)] = name
        return name
    }
}
