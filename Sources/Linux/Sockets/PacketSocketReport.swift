internal import CLinux
public import SystemPackage

/// What the kernel tells of a packet socket (packet(7)) by its inode (sock_diag(7), packet_diag).
public struct PacketSocketReport: Sendable, Hashable {
    /// PACKET_COPY_THRESH, which getsockopt(2) tells since Linux 6.9 only.
    public var copyThreshold: UInt32 = 0
    /// Memberships (PACKET_ADD_MEMBERSHIP).
    public var memberships: [Membership] = []
    /// Rings of packets in memory that the program can map.
    public var receiving: Ring?
    public var sending: Ring?

    public struct Membership: Sendable, Hashable {
        /// The number of the network device.
        public var device: UInt32
        /// PACKET_MR_*.
        public var type: UInt16
        public var address: [UInt8]
    }

    /// struct tpacket_req3.
    public struct Ring: Sendable, Hashable {
        public var blockSize, blocks, frameSize, frames, timeout, privateSize, features: UInt32
    }

    /// Asks for all packet sockets of the network namespace that Apus is in.
    ///
    /// - Throws: ENOENT where the kernel lacks CONFIG_PACKET_DIAG.
    public static func all() throws(Errno) -> [UInt32: PacketSocketReport] {
        var found: [UInt32: PacketSocketReport] = [:]
        // Any inode; options, memberships and rings; any cookie.
        try SocketDiagnosis.ask(Sockets.packet, [0, 0x7, .max, .max]) { (answer) throws(Errno) in
            try parse(answer, into: &found)
        }
        return found
    }

    /// - Returns: whether this was the last part of the answer.
    static func parse(_ answer: [UInt8], into found: inout [UInt32: PacketSocketReport]) throws(Errno) -> Bool {
        try SocketDiagnosis.messages(in: answer) { body in
            // struct packet_diag_msg: family, type, number, inode, cookie; then attributes.
            if body.count >= 16 {
                found[body.integer(at: 4, of: UInt32.self)] = PacketSocketReport(attributes: body.dropFirst(16))
            }
        }
    }

    private init(attributes: ArraySlice<UInt8>) {
        NetlinkAttributes.each(in: attributes) { type, value in
            switch type {
            // struct packet_diag_info: device, version, reserve, copy_thresh.
            case 0 where value.count >= 16: copyThreshold = value.integer(at: 12, of: UInt32.self)
            case 1: memberships = Self.memberships(value)
            case 2: receiving = Ring(value)
            case 3: sending = Ring(value)
            default: break
            }
        }
    }

    /// struct packet_diag_mclist: device, count, type, length, 32 bytes of address.
    private static func memberships(_ value: ArraySlice<UInt8>) -> [Membership] {
        let size = 44
        return (0..<value.count / size).map { index in
            let one = value.dropFirst(index * size).prefix(size)
            let length = Int(one.integer(at: 10, of: UInt16.self))
            return Membership(
                device: one.integer(at: 0, of: UInt32.self), type: one.integer(at: 8, of: UInt16.self),
                address: Array(one.dropFirst(12).prefix(min(length, 32))))
        }
    }
}

extension PacketSocketReport.Ring {
    /// - Returns: nil for one of no blocks: there is none.
    fileprivate init?(_ value: ArraySlice<UInt8>) {
        guard value.count >= 28 else { return nil }
        let words = (0..<7).map { value.integer(at: 4 * $0, of: UInt32.self) }
        if words[1] == 0 { return nil }
        self.init(
            blockSize: words[0], blocks: words[1], frameSize: words[2], frames: words[3], timeout: words[4],
            privateSize: words[5], features: words[6])
    }
}
