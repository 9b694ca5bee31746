internal import Linux
internal import SystemPackage

/// Options of TCP that images have no field for (tcp(7)). Those of IP and IPv6 are in `SocketLevels`.
extension SocketSupplement {
    /// The options that are numbers (linux/tcp.h).
    static let tcpNumbers: [Int32] = [2, 7, 8, 9, 10, 16, 18, 23, 25, 27, 30, 34, 36, 37, 44, 45, 46]

    /// The largest segment: of a connection what its ends have agreed upon, and no wish.
    private static let largestSegment: Int32 = 2

    /// What has a meaning before a connection is made, and cannot be set afterwards: the queue of fast open, which connections
    /// have from the socket that they were accepted by, the wish to connect so, and to do without cookies.
    private static let ofFastOpen: Set<Int32> = [23, 30, 34]
    private static let fastOpenKeyOption: Int32 = 33

    mutating func addTCPOptions(of socket: Int32, _ usual: UsualOptions) throws(Errno) {
        guard let usual = usual.ofTCP else { return }
        let isConnected = TCPState.alive.contains(try TCPState(socket).number)
        let meaningless = isConnected ? Self.ofFastOpen.union([Self.largestSegment]) : []
        for (option, usual) in usual.numbers where !meaningless.contains(option) {
            guard let value = try? Sockets.number(of: socket, option, level: InetSocket.tcp), value != usual else {
                continue
            }
            // Of a connection that has ended it is what was agreed upon, which may be more than can be wished for.
            if option == Self.largestSegment && value > 0x7fff { continue }
            // Of a connection the kernel lets it grow with the buffer, to about half of that. What is far less is a wish.
            let buffer = try Sockets.number(of: socket, .receiveBuffer)
            if option == Sockets.TCPOption.windowClamp, isConnected, value >= buffer / 4 { continue }
            tcpOptions.append((option, value))
        }
        if !isConnected {
            // Where it has none of its own it tells the one of the network namespace.
            let key = Self.key(socket)
            if key != usual.fastOpenKey { fastOpenKey = key }
        }
        let name = try Self.congestion(socket)
        if name != usual.congestionControl { congestionControl = name }
    }

    /// TCP_FASTOPEN_KEY: by which cookies are made and known; Linux 4.15.
    static func key(_ socket: Int32) -> [UInt8] {
        let room = 32
        return (try? Sockets.bytes(of: socket, fastOpenKeyOption, level: InetSocket.tcp, atMost: room)) ?? []
    }

    static func congestion(_ socket: Int32) throws(Errno) -> String {
        let bytes = try Sockets.bytes(
            of: socket, Sockets.TCPOption.congestionControl, level: Sockets.tcpLevel, atMost: 16)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    func applyTCPOptions(to socket: Int32) throws(Errno) {
        for (option, value) in tcpOptions { try Sockets.set(socket, option, level: InetSocket.tcp, to: value) }
        if !fastOpenKey.isEmpty {
            try Sockets.set(socket, Self.fastOpenKeyOption, level: InetSocket.tcp, to: fastOpenKey)
        }
        if let congestionControl {
            try Sockets.set(
                socket, Sockets.TCPOption.congestionControl, level: Sockets.tcpLevel, to: Array(congestionControl.utf8))
        }
    }
}
