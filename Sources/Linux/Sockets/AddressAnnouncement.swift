public import SystemPackage

/// What tells the hosts of a segment that an address is to be found at this device from now on: they remember for a while where it was.
enum AddressAnnouncement {
    /// A request of ARP for the own address (RFC 826, RFC 5227: an ARP announcement).
    static func request(_ address: [UInt8], at hardware: [UInt8]) -> [UInt8] {
        // Ethernet, IPv4, the lengths of their addresses, a request.
        [0, 1, 8, 0, 6, 4, 0, 1] + hardware + address + [0, 0, 0, 0, 0, 0] + address
    }

    /// A neighbour advertisement that nobody has asked for (RFC 4861, 7.2.6), to all nodes, with the header of IPv6 before it.
    static func advertisement(_ address: [UInt8], at hardware: [UInt8]) -> [UInt8] {
        // It overrides what is known. The option is the address of hardware, of one unit of eight bytes.
        let (type, overrides): (UInt8, UInt8) = (136, 0x20)
        var message: [UInt8] = [type, 0, 0, 0, overrides, 0, 0, 0] + address + [2, 1] + hardware
        let allNodes: [UInt8] = [0xff, 2] + [UInt8](repeating: 0, count: 13) + [1]
        let (icmp, size): (UInt8, UInt8) = (58, UInt8(message.count))
        let sum = ForgedSegment.checksum(address + allNodes + [0, 0, 0, size, 0, 0, 0, icmp] + message)
        (message[2], message[3]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
        // No router passes on what has come with another number than 255.
        return [0x60, 0, 0, 0, 0, size, icmp, 255] + address + allNodes + message
    }
}

extension NetworkDevice {
    /// Whether other hosts find its addresses by asking for them: Ethernet, and what is like it.
    public var hasNeighbours: Bool {
        let (ethernet, noARP): (UInt16, UInt32) = (1, 0x80)
        return type == ethernet && address.count == 6 && flags & noARP == 0
    }

    /// Tells the hosts of the segment that an address is here: by gratuitous ARP, or by an unsolicited neighbour advertisement.
    ///
    /// - Throws: EPERM without CAP_NET_RAW.
    public func announce(_ own: [UInt8]) throws(Errno) {
        guard hasNeighbours else { return }
        let isSix = own.count == 16
        let (arp, ipv6): (UInt16, UInt16) = (0x0806, 0x86dd)
        let socket = try Sockets.make(Sockets.packet, Sockets.datagram)
        // struct sockaddr_ll: family, protocol, device, three fields for receivers, the length of an address, and it.
        var place: [UInt8] = []
        place.append(integer: UInt16(Sockets.packet))
        place.append(integer: (isSix ? ipv6 : arp).bigEndian)
        place.append(integer: UInt32(bitPattern: index))
        place += [0, 0, 0, 6] + (isSix ? [0x33, 0x33, 0, 0, 0, 1] : [UInt8](repeating: 0xff, count: 6)) + [0, 0]
        try Sockets.send(
            socket.raw,
            isSix
                ? AddressAnnouncement.advertisement(own, at: address) : AddressAnnouncement.request(own, at: address),
            to: place)
    }
}
