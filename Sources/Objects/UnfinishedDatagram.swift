internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A datagram that a program puts together (UDP_CORK and MSG_MORE of udp(7)) and has not sent yet, as the supplement of its
/// socket has it. No interface shows it; it is read from the kernel's memory (`KernelMemory`).
struct UnfinishedDatagram: Equatable, Sendable {
    /// By which number the images have what there is of it (`sk-queues.img`).
    var data: UInt32
    var receiver: PacketFilter.End

    init(data: UInt32, receiver: PacketFilter.End) { (self.data, self.receiver) = (data, receiver) }

    var json: JSON {
        .object([
            .init("data", .integer(Int64(data))), .init("port", .integer(Int64(receiver.port))),
            .init("address", .string(Hexadecimal.text(receiver.address))),
        ])
    }

    /// - Returns: nil where it is not of this form.
    init?(_ json: JSON) {
        guard let data = json["data"]?.bits.flatMap({ UInt32(exactly: $0) }),
            let port = json["port"]?.bits.flatMap({ UInt16(exactly: $0) }), case .string(let text)? = json["address"],
            let address = Hexadecimal.bytes(text), [4, 16].contains(address.count)
        else { return nil }
        (self.data, receiver) = (data, .init(address: address, port: port))
    }

    /// Has a socket that is bound and connected already begin such a datagram.
    ///
    /// - Parameter isSix: the socket is one of IPv6.
    func begin(_ payload: [UInt8], at socket: Int32, isSix: Bool) throws(Errno) {
        var address = InetAddress(isSix: isSix)
        address.port = receiver.port
        // An IPv4 address is mapped into one of IPv6 where the socket is of that.
        let mapped: [UInt8] = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
        address.bytes = receiver.address.count == address.bytes.count ? receiver.address : mapped + receiver.address
        guard address.bytes.count == (isSix ? 16 : 4) else { throw .invalidArgument }
        try Sockets.send(socket, payload, to: address.encoded, unfinished: true)
    }
}

extension Descriptions {
    /// Records the datagram that a socket of UDP puts together.
    func noteUnfinished(_ socket: Int32, _ supplement: inout SocketSupplement) {
        // What could not be read was refused, or is on its way.
        guard let found = try? DatagramSocket.unfinished(at: socket) else { return }
        let id = nextID()
        record(SocketMessage(found.payload), with: [], for: id)
        supplement.unfinished = UnfinishedDatagram(data: id, receiver: found.receiver)
    }
}
