public import SystemPackage

/// Of UDP (struct udp_sock of linux/udp.h, struct inet_cork_full of net/inet_sock.h).
extension KernelMessages {
    /// A datagram that is being put together (UDP_CORK and MSG_MORE of udp(7)).
    public struct Unfinished: Sendable, Equatable {
        public var payload: [UInt8]
        /// To whom it will go: 4 or 16 bytes, and the port.
        public var receiver: PacketFilter.End
    }

    /// What a socket of UDP or UDP-Lite holds back; nil where it holds nothing back.
    ///
    /// - Parameter socket: struct sock.
    /// - Throws: EOPNOTSUPP where it has options in its headers.
    public func unfinished(at socket: UInt64) throws(Errno) -> Unfinished? {
        let family = try kernel.number(socket, "udp_sock", "pending")
        let (inet, inet6, ports): (UInt32, UInt32, Int) = (2, 10, 8)
        if family == 0 { return nil }
        guard family == inet || family == inet6 else { throw .badMessage }
        // What is not sent yet has its headers already, without their content.
        let header = family == inet ? 20 : 40
        var payload: [UInt8] = []
        for (index, piece) in try all(of: "sk_write_queue", of: socket).enumerated() {
            payload += try self.payload(of: piece).dropFirst(header + (index == 0 ? ports : 0))
        }
        let place = socket + (try kernel.offset("udp_sock", "len"))
        let count = Int(try kernel.bytes(2, at: place)[...].integer(at: 0, of: UInt16.self))
        guard count == payload.count + ports else { throw .notSupported }
        let flow = "cork.fl.u." + (family == inet ? "ip4" : "ip6")
        let address = socket + (try kernel.offset("inet_sock", flow + ".daddr"))
        let port = socket + (try kernel.offset("inet_sock", flow + ".uli.ports.dport"))
        return Unfinished(
            payload: payload,
            receiver: .init(
                address: try kernel.bytes(family == inet ? 4 : 16, at: address),
                port: try kernel.bytes(2, at: port)[...].integer(at: 0, of: UInt16.self).byteSwapped))
    }
}
