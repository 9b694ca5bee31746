internal import Images
internal import Linux
internal import SystemPackage

/// Datagrams that a UDP or UDP-Lite socket had received and not read, delivered anew from their senders.
///
/// A new socket gets an arbitrary port first, so that nothing else can receive what is meant for it. Packets with the
/// addresses of the senders go to that port through the loopback device, where no route of a sender is asked for. The
/// socket is then taken from its port (connect(2) to AF_UNSPEC), which leaves its queue alone, and bound to its own.
struct DatagramDelivery {
    let isSix: Bool
    /// IPPROTO_UDP or IPPROTO_UDPLITE.
    let protocolNumber: UInt8
    let messages: [Message]

    struct Message {
        var payload: [UInt8]
        var sender: InetAddress
        var arrival: DatagramArrival
    }

    /// - Returns: nil where nothing was queued.
    init?(_ entry: InetSkEntry, _ supplement: SocketSupplement, _ packets: [UnixSocketImages.Packet]) {
        if packets.isEmpty { return nil }
        let isSix = entry.family == UInt32(bitPattern: Sockets.inet6)
        self.isSix = isSix
        protocolNumber = UInt8(truncatingIfNeeded: entry.proto)
        messages = packets.enumerated().map { index, packet in
            let name = index < supplement.senders.count ? supplement.senders[index] : []
            let family = [UInt8(truncatingIfNeeded: entry.family), 0]
            return Message(
                payload: packet.payload, sender: InetAddress(family + name) ?? InetAddress(isSix: isSix),
                arrival: index < supplement.arrivals.count ? supplement.arrivals[index] : DatagramArrival())
        }
    }

    /// Fills the queue of a new socket.
    ///
    /// - Returns: how many could not be delivered.
    func fill(_ socket: Int32) throws(Errno) -> Int {
        let (none, versionOnly, ipv6): ([UInt8], Int32, Int32) = ([0, 0], 26, 41)
        if isSix { try Sockets.set(socket, versionOnly, level: ipv6, to: 0) }
        let usual = try Sockets.number(of: socket, .receiveBuffer)
        try? Sockets.set(socket, .forcedReceiveBuffer, to: 1 << 30)
        try Sockets.bind(socket, InetAddress(isSix: isSix).encoded)
        guard let own = InetAddress(try Sockets.name(of: socket)) else { throw .badMessage }
        var missing = 0
        for message in messages where !deliver(message, to: socket, own.port) { missing += 1 }
        try Sockets.connect(socket, none + [UInt8](repeating: 0, count: 14))
        try? Sockets.set(socket, .forcedReceiveBuffer, to: usual / 2)
        return missing
    }

    /// One after the other, so that they keep their order. That one is there shows in the memory that the queue takes: a
    /// look at the queue would leave a mark on datagrams that are empty.
    private func deliver(_ message: Message, to socket: Int32, _ port: UInt16) -> Bool {
        let before = Self.memory(of: socket)
        guard (try? send(message, to: port)) != nil else { return false }
        let patience = SystemClock.monotonic.now &+ 1_000_000_000
        while Self.memory(of: socket) == before {
            if SystemClock.monotonic.now > patience { return false }
            var nothing: [Files.PollEntry] = []
            _ = try? Files.poll(&nothing, timeout: 100_000)
        }
        return true
    }

    /// What is queued takes so many bytes of memory: the first word of SO_MEMINFO.
    private static func memory(of socket: Int32) -> UInt32 {
        let memoryInformation: Int32 = 55
        let bytes = (try? Sockets.bytes(of: socket, memoryInformation, atMost: 36)) ?? []
        return bytes.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    private func send(_ message: Message, to port: UInt16) throws(Errno) {
        let packet = packet(message, to: port)
        let raw: Int32 = 3
        let anyProtocol: Int32 = 255
        let sender = try Sockets.make(packet.isSix ? Sockets.inet6 : Sockets.inet, raw, anyProtocol)
        try? Sockets.set(sender.raw, .forcedSendBuffer, to: 1 << 20)
        try Sockets.send(sender.raw, SocketMessage(packet.bytes), to: packet.destination.encoded)
    }

    // MARK: Packets

    /// A packet as it goes to a raw socket, and where to.
    func packet(_ message: Message, to port: UInt16) -> (bytes: [UInt8], destination: InetAddress, isSix: Bool) {
        let mapped = Self.unmapped(message.sender.bytes)
        let isSix = mapped.count == 16
        var destination = InetAddress(isSix: isSix)
        destination.bytes = isSix ? [UInt8](repeating: 0, count: 15) + [1] : [127, 0, 0, 1]
        if let told = message.arrival.destination.map(Self.unmapped), told.count == destination.bytes.count,
            Self.isOwn(told)
        {
            destination.bytes = told
        }
        var segment: [UInt8] = []
        let udpLite: UInt8 = 136
        for word in [message.sender.port, port, UInt16(truncatingIfNeeded: 8 + message.payload.count), 0] {
            segment += [UInt8(word >> 8), UInt8(word & 0xff)]
        }
        segment += message.payload
        // Of UDP-Lite the length says how much the checksum covers; 0 stands for all.
        let length = UInt32(segment.count)
        if protocolNumber == udpLite { segment.replaceSubrange(4..<6, with: [0, 0]) }
        let pseudo =
            mapped + destination.bytes + (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) }
            + [0, 0, 0, protocolNumber]
        let sum = Self.checksum(pseudo + segment)
        segment.replaceSubrange(6..<8, with: [UInt8(sum >> 8), UInt8(sum & 0xff)])
        let head = isSix ? headSix(message, segment.count) : headFour(message, segment.count)
        return (head + mapped + destination.bytes + segment, destination, isSix)
    }

    /// What stands before the addresses; the kernel fills in length, number and checksum (raw(7)).
    private func headFour(_ message: Message, _ count: Int) -> [UInt8] {
        let length = UInt16(truncatingIfNeeded: 20 + count)
        return [0x45, message.arrival.tos ?? 0, UInt8(length >> 8), UInt8(length & 0xff), 0, 0, 0, 0]
            + [message.arrival.ttl ?? 64, protocolNumber, 0, 0]
    }

    private func headSix(_ message: Message, _ count: Int) -> [UInt8] {
        let (tos, length) = (message.arrival.tos ?? 0, UInt16(truncatingIfNeeded: count))
        return [0x60 | tos >> 4, tos << 4, 0, 0, UInt8(length >> 8), UInt8(length & 0xff)]
            + [protocolNumber, message.arrival.ttl ?? 64]
    }

    /// An address of IPv4 where it stands for one.
    static func unmapped(_ address: [UInt8]) -> [UInt8] {
        let prefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
        return address.count == 16 && address.starts(with: prefix) ? Array(address.suffix(4)) : address
    }

    /// The sum of the internet (RFC 1071); never 0, which would mean that there is none.
    static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() {
            sum &+= index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte)
            if sum > 0xffff { sum = (sum & 0xffff) + sum >> 16 }
        }
        let result = ~UInt16(truncatingIfNeeded: sum)
        return result == 0 ? 0xffff : result
    }

    /// Whether an address is one of this host's, so that a packet to it does not leave it.
    private static func isOwn(_ address: [UInt8]) -> Bool {
        let isSix = address.count == 16
        // Where the host lets everybody bind to what it has not, that tells nothing.
        guard
            let file = try? Files.open(
                isSix ? "/proc/sys/net/ipv6/ip_nonlocal_bind" : "/proc/sys/net/ipv4/ip_nonlocal_bind", []),
            (try? Files.readSome(file.raw, atMost: 1)) == [UInt8(ascii: "0")]
        else { return false }
        let isMulticast = isSix ? address[0] == 0xff : address[0] >> 4 == 0xe
        var place = InetAddress(isSix: isSix)
        place.bytes = address
        guard !isMulticast, !place.isUnspecified,
            let trial = try? Sockets.make(place.isSix ? Sockets.inet6 : Sockets.inet, Sockets.datagram),
            (try? Sockets.bind(trial.raw, place.encoded)) != nil,
            let bound = try? Sockets.name(of: trial.raw)
        else { return false }
        // An address of broadcast lets itself be bound to, and not connected to.
        return (try? Sockets.connect(trial.raw, bound)) != nil
    }
}
