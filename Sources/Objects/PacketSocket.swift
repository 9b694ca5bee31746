public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A packet socket (packet(7)): what captures packets of network devices, and DHCP clients.
///
/// Packets that wait in the queue of the socket are lost, with a warning; those in a ring that it has in memory are carried
/// (``PacketRingState``).
public enum PacketSocket: DescriptionKind {
    public static let name = "packet socket"
    static let level: Int32 = 263
    /// PACKET_COPY_THRESH: can always be set, and asked for by `PacketSocketReport` alone.
    static let copyThreshold: Int32 = 7
    /// PACKET_FANOUT, and the value of the images for none.
    static let (fanout, noFanout): (Int32, UInt32) = (18, .max)

    /// An option and its place in the images.
    struct Option {
        let name: Int32
        let record: (UInt32, inout PacketSockEntry) -> Void
        let recorded: (PacketSockEntry) -> UInt32
    }

    /// PACKET_VERSION, _RESERVE, _AUXDATA, _ORIGDEV, _VNET_HDR, _LOSS, _TIMESTAMP: in this order, as rings depend on the
    /// first two.
    static var options: [Option] {
        [
            Option(name: 10, record: { $1.version = $0 }, recorded: { $0.version }),
            Option(name: 12, record: { $1.reserve = $0 }, recorded: { $0.reserve }),
            Option(name: 8, record: { $1.auxData = $0 != 0 }, recorded: { $0.auxData ? 1 : 0 }),
            Option(name: 9, record: { $1.origDev = $0 != 0 }, recorded: { $0.origDev ? 1 : 0 }),
            Option(name: 15, record: { $1.vnetHdr = $0 != 0 }, recorded: { $0.vnetHdr ? 1 : 0 }),
            Option(name: 14, record: { $1.loss = $0 != 0 }, recorded: { $0.loss ? 1 : 0 }),
            Option(name: 17, record: { $1.timestamp = $0 }, recorded: { $0.timestamp }),
        ]
    }

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        let raw: Int32 = 3
        return seen.socket?.domain == Sockets.packet && [raw, Sockets.datagram].contains(seen.socket?.type)
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if let problem = circumstances.sockets.outside(seen) { return problem }
        do throws(Errno) {
            let copy = try SocketIdentity.open(seen.number, of: seen.pid)
            let group = UInt32(bitPattern: try Sockets.number(of: copy.raw, fanout, level: level))
            if let problem = try obstacle(toRingsOf: copy.raw, seen) { return problem }
            // PACKET_FANOUT_CBPF and _EBPF: what chooses among the sockets of the group is a program.
            guard [6, 7].contains(group >> 16 & 0xff) else { return nil }
        } catch {
            return Problem(
                .objectUnreadable, "the state of the packet socket cannot be read", object: seen.object,
                cause: .init(error, attempted: "a question to NETLINK_SOCK_DIAG"),
                remedy: "The kernel needs CONFIG_PACKET_DIAG (modprobe packet_diag)")
        }
        return Problem(
            .unsupported,
            "packets are shared out among sockets by a program (PACKET_FANOUT_DATA) that cannot be read back",
            object: seen.object, remedy: "Have the program close the socket before the dump")
    }

    /// What a dump cannot keep of it, in words.
    public static func loss(of seen: SeenDescriptor) -> String? {
        guard recognises(seen),
            (try? PacketSocketReport.all())?[UInt32(truncatingIfNeeded: seen.status.inode)]?.receiving == nil
        else { return nil }
        return Sockets.packetsLost(of: seen, name)
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let own = try descriptions.open(seen)
        var socket = PacketSockEntry()
        socket.id = descriptions.nextID()
        socket.type = UInt32(bitPattern: seen.socket?.type ?? 0)
        socket.flags = seen.descriptionFlags
        socket.fown = try descriptions.owner(of: seen, through: own.raw)
        socket.nsID = 2
        do throws(Errno) {
            try fill(&socket, from: own.raw, inode: UInt32(truncatingIfNeeded: seen.status.inode))
        } catch {
            throw descriptions.unreadable(seen, error, "getsockopt, NETLINK_SOCK_DIAG")
        }
        try captureRing(of: socket, own.raw, seen, into: descriptions)
        var supplement = try descriptions.supplement(seen, socket.id, through: own.raw)
        for number in Set([socket.ifindex] + socket.mclist.map(\.index)) where number != 0 {
            supplement.devices[number] = try? Sockets.interface(numbered: Int32(bitPattern: number), own.raw)
        }
        descriptions.supplement[.socket, socket.id] = supplement.json
        var entry = FileEntry()
        entry.type = .packetsk
        entry.id = socket.id
        entry.psk = socket
        descriptions.add(entry)
        return DescriptionKey(.packetsk, socket.id)
    }

    private static func fill(
        _ socket: inout PacketSockEntry, from descriptor: Int32, inode: UInt32
    ) throws(Errno) {
        // struct sockaddr_ll: family, protocol in the order of the network, device.
        let name = try Sockets.name(of: descriptor)
        guard name.count >= 8, let report = try PacketSocketReport.all()[inode] else { throw .badMessage }
        socket.protocol = UInt32(name[2]) | UInt32(name[3]) << 8
        socket.ifindex = (0..<4).reduce(0) { $0 | UInt32(name[4 + $1]) << UInt32(8 * $1) }
        socket.opts = try SocketOptions.capture(descriptor, isUnix: false)
        for option in options {
            option.record(
                UInt32(bitPattern: try Sockets.number(of: descriptor, option.name, level: level)), &socket)
        }
        socket.copyThresh = report.copyThreshold
        let group = UInt32(bitPattern: try Sockets.number(of: descriptor, fanout, level: level))
        if group != 0 { socket.fanout = group }
        socket.mclist = report.memberships.map { membership in
            var entry = PacketMclist()
            entry.index = membership.device
            entry.type = UInt32(membership.type)
            entry.addressBytes = membership.address
            return entry
        }
        if let ring = report.receiving { socket.rxRing = PacketRing(ring) }
        if let ring = report.sending { socket.txRing = PacketRing(ring) }
    }
}

extension PacketRing {
    init(_ ring: PacketSocketReport.Ring) {
        self.init()
        (blockSize, blockNr, frameSize, frameNr) = (ring.blockSize, ring.blocks, ring.frameSize, ring.frames)
        (retireTmo, sizeofPriv, features) = (ring.timeout, ring.privateSize, ring.features)
    }
}
