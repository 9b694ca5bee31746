public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A raw socket, or one of ICMP.
public struct RawSocketEnd: Resource {
    let entry: InetSkEntry
    private let own: InetAddress
    private let peer: InetAddress
    private let supplement: SocketSupplement

    /// Options of raw sockets and their places in the images.
    struct Option {
        let name: Int32
        let isSix: Bool
        let record: (inout IpOptsRawEntry) -> Void
        let recorded: (IpOptsRawEntry) -> Bool
    }

    /// IP_HDRINCL, IP_NODEFRAG, IP_CHECKSUM, IPV6_HDRINCL.
    static var options: [Option] {
        [
            Option(name: 3, isSix: false, record: { $0.hdrincl = true }, recorded: { $0.hdrincl }),
            Option(name: 22, isSix: false, record: { $0.nodefrag = true }, recorded: { $0.nodefrag }),
            Option(name: 23, isSix: false, record: { $0.checksum = true }, recorded: { $0.checksum }),
            Option(name: 36, isSix: true, record: { $0.hdrincl = true }, recorded: { $0.hdrincl }),
        ]
    }

    /// Whether an entry is one of these.
    static func recognises(_ entry: InetSkEntry) -> Bool {
        let (type, number) = (Int32(truncatingIfNeeded: entry.type), Int32(truncatingIfNeeded: entry.proto))
        return type == RawSocket.raw || PingSocket.isOne(type, number)
    }

    /// - Throws: `object-unsupported` for what could never have been.
    public init(_ entry: InetSkEntry, _ supplement: Supplement) throws(Problem) {
        let isSix = entry.family == UInt32(bitPattern: Sockets.inet6)
        guard isSix || entry.family == UInt32(bitPattern: Sockets.inet), entry.proto < 256,
            entry.ipOpts.raw.icmpvFilter.count <= 8,
            let own = InetAddress(port: entry.srcPort, words: entry.srcAddr, isSix: isSix),
            let peer = InetAddress(port: entry.dstPort, words: entry.dstAddr, isSix: isSix)
        else {
            throw Problem(
                .objectUnsupported,
                "the images hold a raw socket (id \(entry.id)) of family \(entry.family) and protocol \(entry.proto) that"
                    + " could never have been",
                remedy: "Copy the images again, all of them")
        }
        self.entry = entry
        self.own = own
        self.peer = peer
        self.supplement = try SocketSupplement(supplement[.socket, entry.id], id: entry.id)
    }

    private var isRaw: Bool { entry.type == UInt32(bitPattern: RawSocket.raw) }

    public var description: String {
        (isRaw ? "raw socket of protocol \(entry.proto)" : "ICMP socket")
            + (own.bytes.allSatisfy { $0 == 0 } ? "" : " at \(own)") + (peer.isUnspecified ? "" : " to \(peer)")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        let missing = supplement.missingDevices(for: description)
        if !missing.isEmpty { return missing }
        do throws(Problem) {
            _ = try open(at: site)
            return []
        } catch {
            return [error]
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let socket = try PingSocket.make(
                Int32(bitPattern: entry.family), Int32(bitPattern: entry.type), Int32(bitPattern: entry.proto))
            try supplement.levels.apply(to: socket.raw, beforeBinding: true)
            for option in InetSocket.ipOptions where option.isSix == own.isSix {
                guard let value = option.recorded(entry.ipOpts) else { continue }
                try Sockets.set(socket.raw, option.name, level: level, to: Int32(bitPattern: value))
            }
            try SocketOptions.apply(entry.opts, to: socket.raw)
            let hasAddress = own.bytes.contains { $0 != 0 }
            try site.countOnComing(own, for: socket.raw)
            if hasAddress || (!isRaw && own.port != 0) { try Sockets.bind(socket.raw, own.encoded) }
            if peer.bytes.contains(where: { $0 != 0 }) { try Sockets.connect(socket.raw, peer.encoded) }
            if isRaw { try applyRaw(to: socket.raw) }
            try supplement.applyOptions(to: socket.raw)
            let flags = OpenFlags(rawValue: Int32(bitPattern: entry.flags))
            try Files.setStatusFlags(socket.raw, flags.subtracting([.writeOnly, .readWrite]))
            return socket
        } catch {
            let mayNot = error == .permissionDenied && !isRaw
            throw Problem(
                error == .addressInUse ? .nameInUse : .fileUnopenable, "the \(self) cannot be made",
                cause: .init(error, attempted: "socket, bind, setsockopt"),
                remedy: mayNot
                    ? "Nobody may have such sockets here: sysctl net.ipv4.ping_group_range='0 2147483647'"
                    : "See that this host has the address, and that Apus runs as root (CAP_NET_RAW)")
        }
    }

    private var level: Int32 { own.isSix ? InetSocket.ipv6 : 0 }

    private func applyRaw(to socket: Int32) throws(Errno) {
        for option in Self.options where option.isSix == own.isSix && option.recorded(entry.ipOpts.raw) {
            try Sockets.set(socket, option.name, level: level, to: 1)
        }
        let words = entry.ipOpts.raw.icmpvFilter
        guard !words.isEmpty, entry.proto == UInt32(own.isSix ? RawSocket.icmp6 : RawSocket.icmp) else { return }
        let (place, option, size) = RawSocket.filter(isSix: own.isSix)
        let bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
        try Sockets.set(socket, option, level: place, to: Array(bytes.prefix(size)))
    }
}
