internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// What a socket has asked to be told of each datagram (IP_PKTINFO, IP_RECVTTL and others of ip(7), ipv6(7)), and what can
/// be told again: what nobody asks for nobody sees.
struct DatagramArrival: Equatable, Sendable {
    /// The address that it was sent to: 4 or 16 bytes.
    var destination: [UInt8]?
    /// The time to live, or hop limit.
    var ttl: UInt8?
    /// The type of service, or traffic class.
    var tos: UInt8?

    init() {}

    init(_ message: SocketMessage) {
        let (ip, ipv6): (Int32, Int32) = (0, 41)
        for one in message.ancillary {
            switch (one.level, one.type) {
            // struct in_pktinfo: device, local address, address of the header. struct sockaddr_in.
            case (ip, 8) where one.data.count >= 12: destination = Array(one.data[8..<12])
            case (ip, 20) where one.data.count >= 8: destination = Array(one.data[4..<8])
            case (ip, 2) where !one.data.isEmpty: ttl = one.data[0]
            case (ip, 1), (ip, 13): tos = one.data.first
            // struct in6_pktinfo, struct sockaddr_in6.
            case (ipv6, 50) where one.data.count >= 16: destination = Array(one.data[0..<16])
            case (ipv6, 74) where one.data.count >= 24: destination = Array(one.data[8..<24])
            case (ipv6, 52) where !one.data.isEmpty: ttl = one.data[0]
            case (ipv6, 67): tos = one.data.first
            default: break
            }
        }
    }

    /// A message that the kernel has put together of several (UDP_GRO of udp(7)), as those.
    static func split(_ message: SocketMessage) -> [SocketMessage] {
        let (udp, receiveOffload): (Int32, Int32) = (17, 104)
        guard let told = message.ancillary.first(where: { $0.level == udp && $0.type == receiveOffload }),
            told.data.count >= 2
        else { return [message] }
        let size = Int(told.data.littleEndian(UInt16.self, at: 0))
        guard size > 0, size < message.payload.count else { return [message] }
        return stride(from: 0, to: message.payload.count, by: size).map { start in
            var part = message
            part.payload = Array(message.payload[start..<min(start + size, message.payload.count)])
            return part
        }
    }

    // MARK: As JSON

    var json: JSON {
        var members: [JSON.Member] = []
        if let destination { members.append(.init("to", .string(Hexadecimal.text(destination)))) }
        if let ttl { members.append(.init("ttl", .integer(Int64(ttl)))) }
        if let tos { members.append(.init("tos", .integer(Int64(tos)))) }
        return .object(members)
    }

    /// - Returns: nil where it is not of this form.
    init?(_ json: JSON) {
        guard case .object = json else { return nil }
        if let value = json["to"] {
            guard case .string(let text) = value, let bytes = Hexadecimal.bytes(text),
                [4, 16].contains(bytes.count)
            else { return nil }
            destination = bytes
        }
        for (name, place) in [("ttl", \Self.ttl), ("tos", \Self.tos)] {
            guard let value = json[name] else { continue }
            guard let byte = value.bits.flatMap({ UInt8(exactly: $0) }) else { return nil }
            self[keyPath: place] = byte
        }
    }
}
