public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A TCP or UDP socket. How a connection of TCP is made again is in `TCPConnection+Restore.swift`.
public struct InetSocketEnd: Resource {
    let entry: InetSkEntry
    let own: InetAddress
    let peer: InetAddress
    let supplement: SocketSupplement
    private let queued: DatagramDelivery?
    /// What there is of a datagram that is put together.
    private let begun: [UInt8]
    /// Of a TCP connection its state.
    let stream: TCPStreamImage?
    /// Of a socket that listens the connections that wait to be accepted, with what was received of them.
    let streams: [(stream: WaitingStream, payload: [UInt8])]

    /// - Throws: `object-unsupported` for what could never have been.
    public init(
        _ entry: InetSkEntry, stream: TCPStreamImage?, _ supplement: Supplement,
        _ packets: [UInt32: [UnixSocketImages.Packet]] = [:]
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
        self.stream = isTCP && TCPState.alive.contains(entry.state) ? stream : nil
        if isTCP, entry.state != InetSocket.listening, entry.state != InetSocket.closed {
            try InetSocketEnd.check(entry, own, peer, stream)
        }
        self.supplement = try SocketSupplement(supplement[.socket, entry.id], id: entry.id)
        queued = isTCP ? nil : DatagramDelivery(entry, self.supplement, packets[entry.id] ?? [])
        begun = self.supplement.unfinished.map { (packets[$0.data] ?? []).flatMap(\.payload) } ?? []
        let isListening = isTCP && entry.state == InetSocket.listening
        streams = isListening ? self.supplement.streams.map { ($0, (packets[$0.data] ?? []).flatMap(\.payload)) } : []
        self.entry = isTCP ? InetSocket.withOlderOptions(entry, stream?.entry) : entry
        self.own = own
        self.peer = peer
    }

    init(_ entry: InetSkEntry, own: InetAddress, peer: InetAddress, _ supplement: SocketSupplement) {
        (self.entry, self.own, self.peer, self.supplement) = (entry, own, peer, supplement)
        (stream, queued, streams, begun) = (nil, nil, [], [])
    }

    /// A connection is kept under the number by which the tree inherits it.
    public var extraDescriptors: Int { stream == nil ? 1 : 0 }

    var isTCP: Bool { entry.proto == UInt32(InetSocket.tcp) }
    private var isListening: Bool { isTCP && entry.state == InetSocket.listening }

    public var description: String {
        let place = own.isUnspecified ? "" : isListening ? " listening at \(own)" : " at \(own)"
        let kind = isTCP ? "TCP" : entry.proto == UInt32(InetSocket.udpLite) ? "UDP-Lite" : "UDP"
        return kind + " socket" + place + (peer.isUnspecified ? "" : " to \(peer)")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        let missing = supplement.missingDevices(for: description)
        if !missing.isEmpty { return missing }
        if stream != nil { return connectionObstacles(at: site) }
        if let problem = waitingObstacle(at: site) { return [problem] }
        guard own.port != 0 else { return [] }
        do throws(Errno) {
            _ = try bound(tryingAt: site)
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
                        ? "End the program that has it (ss -lnp shows which), then restore again. If none has it, a connection was"
                            + " closed there in the last minute (TIME-WAIT in ss -tan): wait for so long"
                        : "Give this host the address, for example with `ip address add`, or have it moved"
                            + " (apus migrate --move-address)")
            ]
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if let stream { return try openConnection(stream, at: site) }
        do throws(Errno) {
            let socket = try bound(filledAt: site)
            if !isTCP && !peer.isUnspecified { try Sockets.connect(socket.raw, try scoped(peer, socket.raw).encoded) }
            try setProtocolOptions(socket.raw)
            var options = entry.opts
            // Until it listens, what is left of earlier connections must not be in its way.
            if isListening { options.reuseaddr = true }
            try SocketOptions.apply(options, to: socket.raw)
            try supplement.applyOptions(to: socket.raw)
            site.begin(supplement.unfinished, begun, at: socket.raw, self)
            let flags = OpenFlags(rawValue: Int32(bitPattern: entry.flags))
            try Files.setStatusFlags(socket.raw, flags.subtracting([.writeOnly, .readWrite]))
            // Fails for what has no other end, and takes effect (tcp(7) does not say so). CRIU stores one direction alone.
            if isTCP, entry.state == InetSocket.closed, entry.hasShutdown {
                let both: Int32 = 2
                try? Sockets.shutDown(socket.raw, entry.shutdown == .read ? 0 : entry.shutdown == .write ? 1 : both)
            }
            if isListening {
                let copy = SharedDescriptor(try Files.duplicate(socket.raw))
                site.listening.append(
                    ListeningSocket(
                        socket: copy, backlog: entry.backlog, sharesAddress: entry.opts.reuseaddr, port: own.port,
                        streams: site.connectionPolicy == .carried ? streams : []))
            }
            return socket
        } catch {
            throw Problem(
                error == .addressInUse ? .nameInUse : .fileUnopenable, "the \(self) cannot be made",
                cause: .init(error, attempted: "socket, bind, setsockopt"),
                remedy: "See that this host has the address, that nobody uses it, and that Apus runs as root")
        }
    }

    /// Options of TCP and of IP.
    func setProtocolOptions(_ socket: Int32) throws(Errno) {
        if isTCP {
            for option in InetSocket.tcpOptions {
                guard let value = option.recorded(entry) else { continue }
                try set(socket, option.name, InetSocket.tcp, value)
            }
        }
        for option in InetSocket.ipOptions where option.isSix == own.isSix {
            guard let value = option.recorded(entry.ipOpts) else { continue }
            try set(socket, option.name, own.isSix ? InetSocket.ipv6 : 0, value)
        }
        try supplement.applyTCPOptions(to: socket)
    }

    /// A socket with the address, and with what was queued in it if it is not a trial.
    private func bound(
        filledAt site: RestoreSite? = nil, tryingAt trial: RestoreSite? = nil
    ) throws(Errno) -> OwnedDescriptor {
        let socket = try Sockets.make(
            Int32(bitPattern: entry.family), Int32(bitPattern: entry.type), Int32(bitPattern: entry.proto))
        if let site, let queued { try site.deliver(queued, to: socket.raw, description) }
        guard own.port != 0 else { return socket }
        // Connections that have just ended do not keep a TCP port busy. For UDP this would mean to share the port.
        if isTCP || entry.opts.reuseaddr { try Sockets.set(socket.raw, .reuseAddress, to: 1) }
        if entry.opts.soReuseport { try Sockets.set(socket.raw, .reusePort, to: 1) }
        try prepare(socket.raw)
        try trial?.countOnComing(own, for: socket.raw)
        try Sockets.bind(socket.raw, try scoped(own, socket.raw).encoded)
        return socket
    }

    /// What has to be so before a socket gets its address.
    ///
    /// - Parameter leavesDevice: it is not bound to its device yet.
    func prepare(_ socket: Int32, leavesDevice: Bool = false) throws(Errno) {
        if own.isSix, entry.hasV6Only { try set(socket, 26, InetSocket.ipv6, entry.v6Only ? 1 : 0) }
        for option in InetSocket.ipOptions
        where option.isSix == own.isSix && InetSocket.beforeBind.contains(option.name) {
            guard let value = option.recorded(entry.ipOpts) else { continue }
            try set(socket, option.name, own.isSix ? InetSocket.ipv6 : 0, value)
        }
        try supplement.levels.apply(to: socket, beforeBinding: true)
        if entry.opts.hasSoBoundDev, !entry.opts.soBoundDev.isEmpty, !leavesDevice {
            try Sockets.set(socket, Sockets.Option.boundDevice.rawValue, to: Array(entry.opts.soBoundDev.utf8))
        }
    }

    /// A link-local address with the interface that it is on.
    func scoped(_ address: InetAddress, _ socket: Int32) throws(Errno) -> InetAddress {
        guard address.isSix, entry.hasIfname, address.bytes[0] == 0xfe, address.bytes[1] & 0xc0 == 0x80 else {
            return address
        }
        var scoped = address
        scoped.scope = UInt32(bitPattern: try Sockets.number(ofInterface: entry.ifname, socket))
        return scoped
    }

    func set(_ socket: Int32, _ option: Int32, _ level: Int32, _ value: UInt32) throws(Errno) {
        if try Sockets.number(of: socket, option, level: level) == Int32(bitPattern: value) { return }
        try Sockets.set(socket, option, level: level, to: Int32(bitPattern: value))
    }
}
