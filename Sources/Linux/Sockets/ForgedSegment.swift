public import SystemPackage

/// A segment of TCP as if it came from the other end of a connection, for a socket of this host in repair mode: there
/// is no other way to have a socket know of a FIN, or that its own has been acknowledged.
public struct ForgedSegment: Sendable, Equatable {
    /// The ends as the receiver sees them.
    public var connection: PacketFilter.Connection
    public var sequence, acknowledgement: UInt32
    public var isFinal: Bool
    public var window: UInt16
    /// It asks for a connection, and acknowledges nothing (SYN).
    public var isFirst = false
    /// It ends the connection (RST).
    public var isReset = false
    /// Options of TCP, of whole words; and what is sent.
    public var options: [UInt8] = []
    public var payload: [UInt8] = []

    public init(
        _ connection: PacketFilter.Connection, sequence: UInt32, acknowledgement: UInt32, isFinal: Bool,
        window: UInt16 = 0xffff
    ) {
        self.connection = connection
        self.sequence = sequence
        self.acknowledgement = acknowledgement
        self.isFinal = isFinal
        self.window = window
    }

    /// With the header of IP before it (RFC 791 and 8200, RFC 9293).
    public var bytes: [UInt8] {
        let tcp = self.tcp
        let (from, to) = (connection.other.address, connection.own.address)
        if from.count == 16 {
            return [0x60, 0, 0, 0, UInt8(tcp.count >> 8), UInt8(tcp.count & 0xff), 6, 64] + from + to + tcp
        }
        // The kernel writes length, identification and checksum (raw(7)).
        let count = 20 + tcp.count
        return [0x45, 0, UInt8(count >> 8), UInt8(count & 0xff), 0, 0, 0, 0, 64, 6, 0, 0] + from + to + tcp
    }

    private var tcp: [UInt8] {
        func big(_ value: UInt32, _ count: Int) -> [UInt8] {
            (1...count).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * (count - $0))) }
        }
        let (acknowledges, ends, asks, breaks): (UInt32, UInt32, UInt32, UInt32) = (0x10, 0x01, 0x02, 0x04)
        let flags = (isFirst ? asks : acknowledges) | (isFinal ? ends : 0) | (isReset ? breaks : 0)
        var header = big(UInt32(connection.other.port), 2) + big(UInt32(connection.own.port), 2)
        header += big(sequence, 4) + big(acknowledgement, 4)
        header += big(UInt32(5 + options.count / 4) << 12 | flags, 2) + big(UInt32(window), 2)
        header += [0, 0, 0, 0] + options
        // The pseudo-header: addresses, length, protocol.
        let sum = Self.checksum(
            connection.other.address + connection.own.address + big(UInt32(header.count + payload.count), 4)
                + [0, 0, 0, 6] + header + payload)
        header[16] = UInt8(sum >> 8)
        header[17] = UInt8(sum & 0xff)
        return header + payload
    }

    /// RFC 1071: as if a zero followed an odd number of bytes.
    static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count - 1, by: 2) {
            sum += UInt32(bytes[index]) << 8 | UInt32(bytes[index + 1])
        }
        if bytes.count % 2 == 1, let last = bytes.last { sum += UInt32(last) << 8 }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return ~UInt16(sum)
    }

    /// Sends it to this host. It has arrived when this returns, unless something filters it.
    ///
    /// - Parameters:
    ///   - mark: for filters to know it by (SO_MARK).
    ///   - scope: the interface of a link-local address, else 0.
    /// - Throws: EPERM without CAP_NET_RAW.
    public func send(mark: UInt32, scope: UInt32) throws(Errno) {
        let (raw, withHeader): (Int32, Int32) = (3, 255)
        let isSix = connection.own.address.count == 16
        let socket = try Sockets.make(isSix ? Sockets.inet6 : Sockets.inet, raw, withHeader)
        try Sockets.set(socket.raw, .mark, to: Int32(bitPattern: mark))
        var address: [UInt8] = []
        address.append(integer: UInt16(isSix ? Sockets.inet6 : Sockets.inet))
        address += [0, 0]
        if isSix {
            address += [0, 0, 0, 0] + connection.own.address
            address.append(integer: scope)
        } else {
            address += connection.own.address + [UInt8](repeating: 0, count: 8)
        }
        try Sockets.send(socket.raw, bytes, to: address)
    }
}
