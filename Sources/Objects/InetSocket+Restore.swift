public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A TCP socket that listens or has not been used, or a UDP socket.
public struct InetSocketEnd: Resource {
    let entry: InetSkEntry
    private let own: InetAddress
    private let peer: InetAddress
    private let supplement: SocketSupplement
    private let queued: DatagramDelivery?

    /// - Throws: `object-unsupported` for a connection, and for what could never have been.
    public init(
        _ entry: InetSkEntry, _ supplement: Supplement, _ packets: [UnixSocketImages.Packet] = []
    ) throws(Problem) {
        let isSix = entry.family == UInt32(bitPattern: Sockets.inet6)
        let isTCP = entry.type == UInt32(bitPattern: Sockets.stream) && entry.proto == UInt32(InetSocket.tcp)
        let isUDP =
            entry.type == UInt32(bitPattern: Sockets.datagram)
            && [InetSocket.udp, InetSocket.udpLite].contains(Int32(truncatingIfNeeded: entry.proto))
        guard isSix || entry.family == UInt32(bitPattern: Sockets.inet), isTCP || isUDP,
            let own = InetAddress(port: entry.srcPort, words: entry.srcAddr, isSix: isSix),
            let peer = InetAddress(port: entry.dstPort, words: entry.dstAddr, isSix: isSix)
        else {
            throw Problem(
                .objectUnsupported,
                "the images hold a socket (id \(entry.id)) of family \(entry.family), type \(entry.type) and protocol"
                    + " \(entry.proto), which Apus cannot restore yet",
                remedy: "Restore these images with CRIU, or dump the program again without such a socket")
        }
        if isTCP && entry.state != InetSocket.listening && entry.state != InetSocket.closed {
            throw Problem(
                .objectUnsupported,
                "the images hold a socket (id \(entry.id)) with a TCP connection to \(peer), which Apus cannot restore"
                    + " yet",
                remedy: "Restore these images with CRIU, or dump the program again when the connection is closed."
                    + " --tcp-established and --tcp-close are not built yet")
        }
        self.supplement = try SocketSupplement(supplement[.socket, entry.id], id: entry.id)
        queued = isTCP ? nil : DatagramDelivery(entry, self.supplement, packets)
        self.entry = entry
        self.own = own
        self.peer = peer
    }

    private var isTCP: Bool { entry.proto == UInt32(InetSocket.tcp) }
    private var isListening: Bool { isTCP && entry.state == InetSocket.listening }

    public var description: String {
        let place = own.isUnspecified ? "" : isListening ? " listening at \(own)" : " at \(own)"
        let kind = isTCP ? "TCP" : entry.proto == UInt32(InetSocket.udpLite) ? "UDP-Lite" : "UDP"
        return kind + " socket" + place + (peer.isUnspecified ? "" : " to \(peer)")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        let missing = supplement.missingDevices(for: description)
        guard own.port != 0, missing.isEmpty else { return missing }
        do throws(Errno) {
            _ = try bound()
            return []
        } catch {
            let isTaken = error == .addressInUse
            return [
                Problem(
                    isTaken ? .nameInUse : .fileUnopenable,
                    isTaken
                        ? "the address \(own) is in use" : "a socket cannot be bound to the address \(own)",
                    cause: .init(error, attempted: "bind(\(own))"),
                    remedy: isTaken
                        ? "End the program that has it (ss -lnp shows which), then restore again"
                        : "Give this host the address, for example with `ip address add`")
            ]
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let socket = try bound(filledAt: site)
            if !isTCP && !peer.isUnspecified { try Sockets.connect(socket.raw, peer.encoded) }
            if isTCP {
                for option in InetSocket.tcpOptions {
                    guard let value = option.recorded(entry) else { continue }
                    try set(socket.raw, option.name, InetSocket.tcp, value)
                }
            }
            for option in InetSocket.ipOptions where option.isSix == own.isSix {
                guard let value = option.recorded(entry.ipOpts) else { continue }
                try set(socket.raw, option.name, own.isSix ? InetSocket.ipv6 : 0, value)
            }
            var options = entry.opts
            // Until it listens, what is left of earlier connections must not be in its way.
            if isListening { options.reuseaddr = true }
            try SocketOptions.apply(options, to: socket.raw)
            try supplement.applyOptions(to: socket.raw)
            let flags = OpenFlags(rawValue: Int32(bitPattern: entry.flags))
            try Files.setStatusFlags(socket.raw, flags.subtracting([.writeOnly, .readWrite]))
            if isListening {
                let copy = SharedFile(try Files.duplicate(socket.raw))
                site.listening.append((copy, entry.backlog, entry.opts.reuseaddr))
            }
            return socket
        } catch {
            throw Problem(
                error == .addressInUse ? .nameInUse : .fileUnopenable, "the \(self) cannot be made",
                cause: .init(error, attempted: "socket, bind, setsockopt"),
                remedy: "See that this host has the address, that nobody uses it, and that Apus runs as root")
        }
    }

    /// A socket with the address, and with what was queued in it if it is not a trial.
    private func bound(filledAt site: RestoreSite? = nil) throws(Errno) -> OwnedDescriptor {
        let socket = try Sockets.make(
            Int32(bitPattern: entry.family), Int32(bitPattern: entry.type), Int32(bitPattern: entry.proto))
        if let site, let queued { try site.deliver(queued, to: socket.raw, description) }
        try supplement.levels.apply(to: socket.raw, beforeBinding: true)
        guard own.port != 0 else { return socket }
        // Connections that have just ended do not keep a TCP port busy. For UDP this would mean to share the port.
        if isTCP || entry.opts.reuseaddr { try Sockets.set(socket.raw, .reuseAddress, to: 1) }
        if entry.opts.soReuseport { try Sockets.set(socket.raw, .reusePort, to: 1) }
        if own.isSix, entry.hasV6Only { try set(socket.raw, 26, InetSocket.ipv6, entry.v6Only ? 1 : 0) }
        for option in InetSocket.ipOptions
        where option.isSix == own.isSix && InetSocket.beforeBind.contains(option.name) {
            guard let value = option.recorded(entry.ipOpts) else { continue }
            try set(socket.raw, option.name, own.isSix ? InetSocket.ipv6 : 0, value)
        }
        if entry.opts.hasSoBoundDev, !entry.opts.soBoundDev.isEmpty {
            try Sockets.set(
                socket.raw, Sockets.Option.boundDevice.rawValue, to: Array(entry.opts.soBoundDev.utf8))
        }
        try Sockets.bind(socket.raw, own.encoded)
        return socket
    }

    private func set(_ socket: Int32, _ option: Int32, _ level: Int32, _ value: UInt32) throws(Errno) {
        if try Sockets.number(of: socket, option, level: level) == Int32(bitPattern: value) { return }
        try Sockets.set(socket, option, level: level, to: Int32(bitPattern: value))
    }
}
