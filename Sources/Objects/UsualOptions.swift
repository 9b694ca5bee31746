internal import Linux
internal import Synchronization
internal import SystemPackage

/// What a new socket of some kind answers to what is asked of each: options that nobody has changed are not recorded.
struct UsualOptions: Sendable {
    /// Options of level SOL_SOCKET that are numbers.
    let numbers: [(option: Int32, value: Int32)]
    /// Those of other levels.
    let levels: [(option: SocketLevels.Option, value: Int32)]
    /// nil for a socket that is none of TCP.
    let ofTCP: OfTCP?

    struct OfTCP: Sendable {
        let numbers: [(option: Int32, value: Int32)]
        /// TCP_CONGESTION.
        let congestionControl: String
        /// TCP_FASTOPEN_KEY, that of the network namespace.
        let fastOpenKey: [UInt8]
    }

    /// Makes a socket and asks it. What this kernel or this kind of socket does not know is left out.
    init(_ identity: SocketIdentity) throws(Errno) {
        let made = try PingSocket.fresh(identity)
        func number(_ option: Int32, level: Int32) -> Int32? {
            try? Sockets.number(of: made.raw, option, level: level)
        }
        numbers = SocketSupplement.numbers.compactMap { option in
            number(option, level: Sockets.socketLevel).map { (option, $0) }
        }
        levels = SocketLevels.numbers(of: identity).compactMap { option in
            number(option.name, level: option.level).map { (option, $0) }
        }
        // A raw socket may be of the protocol, too.
        let isStream = [Sockets.inet, Sockets.inet6].contains(identity.domain) && identity.type == Sockets.stream
        guard isStream, identity.protocolNumber == InetSocket.tcp else {
            ofTCP = nil
            return
        }
        ofTCP = OfTCP(
            numbers: SocketSupplement.tcpNumbers.compactMap { option in
                number(option, level: InetSocket.tcp).map { (option, $0) }
            },
            congestionControl: try SocketSupplement.congestion(made.raw), fastOpenKey: SocketSupplement.key(made.raw))
    }
}

/// What new sockets of each kind have, asked once.
final class SocketDefaults: Sendable {
    private struct Kind: Hashable {
        var domain, type, protocolNumber: Int32
        init(_ identity: SocketIdentity) {
            (domain, type, protocolNumber) = (identity.domain, identity.type, identity.protocolNumber)
        }
    }

    private let known = Mutex<[Kind: UsualOptions]>([:])

    func usual(for identity: SocketIdentity) throws(Errno) -> UsualOptions {
        try known.withLock { (known) throws(Errno) in
            let kind = Kind(identity)
            if let usual = known[kind] { return usual }
            let usual = try UsualOptions(identity)
            known[kind] = usual
            return usual
        }
    }
}
