internal import Linux
internal import SystemPackage

/// Options of TCP that images have no field for (tcp(7)). Those of IP and IPv6 are in `SocketLevels`.
extension SocketSupplement {
    /// The options that are numbers (linux/tcp.h).
    static let tcpNumbers: [Int32] = [2, 7, 8, 9, 16, 18, 23, 25, 27, 30, 34, 36, 37, 44, 45, 46]

    /// The largest segment: of a connection what its ends have agreed upon, and no wish.
    private static let largestSegment: Int32 = 2

    mutating func addTCPOptions(of socket: Int32, _ identity: SocketIdentity, _ defaults: SocketDefaults)
        throws(Errno)
    {
        guard [Sockets.inet, Sockets.inet6].contains(identity.domain), identity.protocolNumber == InetSocket.tcp
        else { return }
        let isConnected = TCPState.alive.contains(try TCPState(socket).number)
        for option in Self.tcpNumbers where option != Self.largestSegment || !isConnected {
            // What this kernel does not know is not set.
            guard let usual = try defaults.number(option, level: InetSocket.tcp, of: identity),
                let value = try? Sockets.number(of: socket, option, level: InetSocket.tcp), value != usual
            else { continue }
            // Of a connection that has ended it is what was agreed upon, which may be more than can be wished for.
            if option == Self.largestSegment && value > 0x7fff { continue }
            tcpOptions.append((option, value))
        }
        let name = try Self.congestion(socket)
        let usual = try defaults.congestionControl(of: identity)
        if name != usual { congestionControl = name }
    }

    fileprivate static func congestion(_ socket: Int32) throws(Errno) -> String {
        let bytes = try Sockets.bytes(
            of: socket, Sockets.TCPOption.congestionControl, level: Sockets.tcpLevel, atMost: 16)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    func applyTCPOptions(to socket: Int32) throws(Errno) {
        for (option, value) in tcpOptions { try Sockets.set(socket, option, level: InetSocket.tcp, to: value) }
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

    /// Such a socket, to compare with.
    func socket(_ identity: SocketIdentity) throws(Errno) -> Int32 {
        let kind = Kind(identity)
        if let known = fresh[kind] { return known.descriptor.raw }
        let made = SharedFile(try PingSocket.fresh(identity))
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
