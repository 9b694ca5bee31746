internal import ImageMessages

extension DescriptorWords {
    init(internet socket: InetSkEntry) {
        let name = FieldStyle.protocols[UInt64(socket.proto)] ?? FieldStyle.socketTypes[UInt64(socket.type)] ?? "ip"
        let isVersion6 = socket.srcAddr.count == 4
        let source = Self.endpoint(socket.srcAddr, socket.srcPort)
        let peer = socket.dstPort == 0 ? "" : " -> " + Self.endpoint(socket.dstAddr, socket.dstPort)
        self.init(name.lowercased() + (isVersion6 ? "6" : ""), source + peer, [Self.state(socket.state)])
    }

    init(unix socket: UnixSkEntry) {
        let type = FieldStyle.socketTypes[UInt64(socket.type)].map { $0.lowercased() } ?? "\(socket.type)"
        // An abstract name begins with NUL, and is shown with @ in its place, as ss(8) does.
        let bytes = socket.nameBytes
        var name = String(decoding: bytes.drop { $0 == 0 }.prefix { $0 != 0 }, as: UTF8.self)
        if bytes.first == 0 && !name.isEmpty { name = "@" + name }
        self.init("unix \(type)", name, [Self.state(socket.state), "socket \(socket.ino)", Self.peer(socket)])
    }

    private static func peer(_ socket: UnixSkEntry) -> String? {
        socket.peer == 0 ? nil : "peer \(socket.peer)"
    }

    private static func state(_ state: UInt32) -> String {
        FieldStyle.socketStates[UInt64(state)]?.lowercased() ?? "state \(state)"
    }

    private static func endpoint(_ address: [UInt32], _ port: UInt32) -> String {
        let text = FieldStyle.address(address.map(UInt64.init)) ?? "?"
        return address.count == 4 ? "[\(text)]:\(port)" : "\(text):\(port)"
    }
}
