public import Diagnostics
public import Images
public import Linux
internal import SystemPackage
internal import Tracing

/// A packet socket.
public struct PacketSocketEnd: Resource {
    let entry: PacketSockEntry
    private let supplement: SocketSupplement
    /// Its rings, and what was in the one for receiving.
    private let rings: (layout: PacketRingLayout, state: PacketRingState)?

    /// - Throws: `object-unsupported` for what could never have been.
    public init(_ entry: PacketSockEntry, _ supplement: Supplement) throws(Problem) {
        let raw: UInt32 = 3
        guard [raw, UInt32(bitPattern: Sockets.datagram)].contains(entry.type), entry.protocol < 65536,
            entry.mclist.allSatisfy({ $0.addressBytes.count <= 32 && $0.type < 65536 })
        else {
            throw Problem(
                .objectUnsupported, "the images hold a packet socket (id \(entry.id)) that could never have been",
                remedy: "Copy the images again, all of them")
        }
        self.entry = entry
        self.supplement = try SocketSupplement(supplement[.socket, entry.id], id: entry.id)
        guard let json = supplement[.ring, entry.id] else {
            rings = nil
            return
        }
        guard let layout = PacketRingLayout(entry), let state = PacketRingState(json, layout) else {
            throw Problem(
                .objectUnsupported, "what the supplement says of the rings of packet socket \(entry.id) makes no sense",
                remedy: "Copy the images again, all of them")
        }
        rings = (layout, state)
    }

    public var description: String {
        let device = entry.ifindex == 0 ? "" : " of \(supplement.devices[entry.ifindex] ?? "device \(entry.ifindex)")"
        let number = String(UInt16(truncatingIfNeeded: entry.protocol).byteSwapped, radix: 16)
        return "packet socket\(device), protocol 0x\(number)"
    }

    public func obstacles(at site: RestoreSite) -> [Problem] { supplement.missingDevices(for: description) }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            // Of no protocol it receives nothing until it is bound.
            let socket = try Sockets.make(Sockets.packet, Int32(bitPattern: entry.type), 0)
            for option in PacketSocket.options {
                try set(socket.raw, option.name, option.recorded(entry))
            }
            if entry.copyThresh != 0 {
                try Sockets.set(
                    socket.raw, PacketSocket.copyThreshold, level: PacketSocket.level,
                    to: Int32(bitPattern: entry.copyThresh))
            }
            let (receivingRing, sendingRing): (Int32, Int32) = (5, 13)
            if entry.hasRxRing { try make(entry.rxRing, socket.raw, receivingRing) }
            if entry.hasTxRing { try make(entry.txRing, socket.raw, sendingRing) }
            // Before there are filters.
            if let rings { try PacketRingTurning.restore(rings.state, rings.layout, in: socket.raw) }
            for membership in entry.mclist { try join(membership, socket.raw) }
            try SocketOptions.apply(entry.opts, to: socket.raw)
            try supplement.applyOptions(to: socket.raw)
            if entry.protocol != 0 || entry.ifindex != 0 {
                var address = [UInt8(Sockets.packet), 0]
                address.append(littleEndian: UInt16(entry.protocol))
                address.append(littleEndian: try device(entry.ifindex, socket.raw))
                try Sockets.bind(socket.raw, address + [UInt8](repeating: 0, count: 12))
            }
            if entry.hasFanout, entry.fanout != PacketSocket.noFanout {
                try Sockets.set(
                    socket.raw, PacketSocket.fanout, level: PacketSocket.level, to: Int32(bitPattern: entry.fanout))
            }
            let flags = OpenFlags(rawValue: Int32(bitPattern: entry.flags))
            try Files.setStatusFlags(socket.raw, flags.subtracting([.writeOnly, .readWrite]))
            return socket
        } catch {
            throw Problem(
                .fileUnopenable, "the \(self) cannot be made",
                cause: .init(error, attempted: "socket(AF_PACKET), bind, setsockopt"),
                remedy:
                    "See that this host has the device (ip link), that the loopback device is up (ip link set lo up), and that Apus runs as root (CAP_NET_RAW)"
            )
        }
    }

    /// The number that a device has here.
    private func device(_ number: UInt32, _ socket: Int32) throws(Errno) -> Int32 {
        guard let name = supplement.devices[number] else { return Int32(bitPattern: number) }
        return try Sockets.number(ofInterface: name, socket)
    }

    private func set(_ socket: Int32, _ option: Int32, _ value: UInt32) throws(Errno) {
        let level = PacketSocket.level
        if try Sockets.number(of: socket, option, level: level) == Int32(bitPattern: value) { return }
        try Sockets.set(socket, option, level: level, to: Int32(bitPattern: value))
    }

    /// struct tpacket_req, and its longer form for version 3 of rings (TPACKET_V3, 2).
    private func make(_ ring: PacketRing, _ socket: Int32, _ option: Int32) throws(Errno) {
        var words = [ring.blockSize, ring.blockNr, ring.frameSize, ring.frameNr]
        if entry.version == 2 { words += [ring.retireTmo, ring.sizeofPriv, ring.features] }
        var request: [UInt8] = []
        for word in words { request.append(littleEndian: word) }
        try Sockets.set(socket, option, level: PacketSocket.level, to: request)
    }

    /// struct packet_mreq_max: device, type, length, address.
    private func join(_ membership: PacketMclist, _ socket: Int32) throws(Errno) {
        let addMembership: Int32 = 1
        var request: [UInt8] = []
        request.append(littleEndian: try device(membership.index, socket))
        request.append(littleEndian: UInt16(truncatingIfNeeded: membership.type))
        request.append(littleEndian: UInt16(membership.addressBytes.count))
        request += membership.addressBytes + [UInt8](repeating: 0, count: max(0, 8 - membership.addressBytes.count))
        try Sockets.set(socket, addMembership, level: PacketSocket.level, to: request)
    }
}
