internal import CLinux
public import SystemPackage

/// Repair mode of TCP (Linux 3.5): the state of a connection is read and set without a segment being sent. A socket in
/// this mode that is closed ends without a word to the other end. The names are those of linux/tcp.h.
extension Sockets {
    public static let tcpLevel: Int32 = 6

    /// An option of level IPPROTO_TCP.
    public enum TCPOption {
        public static let largestSegment: Int32 = 2
        public static let windowClamp: Int32 = 10
        public static let info: Int32 = 11
        public static let congestionControl: Int32 = 13
        static let repair: Int32 = 19
        static let repairQueue: Int32 = 20
        static let queueSequence: Int32 = 21
        static let repairOptions: Int32 = 22
        public static let timestamp: Int32 = 24
        static let repairWindow: Int32 = 29
        public static let upperProtocol: Int32 = 31
    }

    /// TCP_REPAIR.
    public enum RepairMode: Int32, Sendable {
        case on = 1
        /// Ends it, and asks the other end for an acknowledgement.
        case off = 0
        /// Ends it without a segment; Linux 4.20.
        case silentlyOff = -1
    }

    /// Which queue reads, writes and sequence numbers mean in repair mode (TCP_REPAIR_QUEUE).
    public enum RepairQueue: Int32, Sendable { case none = 0, receive = 1, send = 2 }

    /// - Throws: EPERM without CAP_NET_ADMIN, and for a socket that listens.
    public static func setRepair(_ socket: Int32, _ mode: RepairMode) throws(Errno) {
        try set(socket, TCPOption.repair, level: tcpLevel, to: mode.rawValue)
    }

    public static func chooseQueue(_ socket: Int32, _ queue: RepairQueue) throws(Errno) {
        try set(socket, TCPOption.repairQueue, level: tcpLevel, to: queue.rawValue)
    }

    /// Behind the last byte of the chosen queue (TCP_QUEUE_SEQ); a FIN counts as one byte.
    public static func queueSequence(_ socket: Int32) throws(Errno) -> UInt32 {
        UInt32(bitPattern: try number(of: socket, TCPOption.queueSequence, level: tcpLevel))
    }

    public static func setQueueSequence(_ socket: Int32, _ number: UInt32) throws(Errno) {
        try set(socket, TCPOption.queueSequence, level: tcpLevel, to: Int32(bitPattern: number))
    }

    /// TCP_REPAIR_OPTIONS: what the ends have agreed upon, each by the number of the TCP option that says so.
    public static func setRepairOptions(
        _ socket: Int32, _ options: [(code: UInt32, value: UInt32)]
    ) throws(Errno) {
        var bytes: [UInt8] = []
        for option in options {
            bytes.append(integer: option.code)
            bytes.append(integer: option.value)
        }
        try set(socket, TCPOption.repairOptions, level: tcpLevel, to: bytes)
    }

    /// Has the kernel find out anew how large the segments are that it sends.
    ///
    /// A socket that is connected in repair mode goes by 536 bytes (1220 for IPv6), the size for other ends that name none, and
    /// `setRepairOptions` does not change that: the size is found out again only when the route has another one, which mostly is
    /// never. It is, too, when the options in the headers are set, and that there are none can be said at any time: for IPv4 by
    /// an empty list (IP_OPTIONS, ip(7)). For IPv6 an empty list is nothing to the kernel (IPV6_2292PKTOPTIONS, RFC 2292); one
    /// that holds something which is no header, the usual traffic class, has it look. A kernel that refuses leaves the small
    /// segments, which are slow and no error.
    ///
    /// - Parameter isSix: packets are of IPv6.
    public static func renewSegmentSize(_ socket: Int32, isSix: Bool) {
        let (ip, ipv6, headerOptions, packetOptions): (Int32, Int32, Int32, Int32) = (0, 41, 4, 6)
        guard isSix else {
            try? set(socket, headerOptions, level: ip, to: [UInt8]())
            return
        }
        // struct cmsghdr and a number, filled up to whole words: IPV6_TCLASS, as usual.
        let trafficClass: Int32 = 67
        var list: [UInt8] = []
        list.append(integer: UInt64(20))
        list.append(integer: UInt32(bitPattern: ipv6))
        list.append(integer: UInt32(bitPattern: trafficClass))
        list.append(integer: UInt32.max)
        list.append(integer: UInt32(0))
        try? set(socket, packetOptions, level: ipv6, to: list)
        try? set(socket, packetOptions, level: ipv6, to: [UInt8]())
    }

    /// struct tcp_repair_window.
    public struct RepairWindow: Sendable, Equatable {
        /// The sequence number of the segment that last told of the other end's window, and that window.
        public var updatedAt, sendWindow: UInt32
        /// The largest that it has been.
        public var largestWindow: UInt32
        /// The window that was last told to the other end, and the sequence number up to which was acknowledged then.
        public var receiveWindow, receiveUpdate: UInt32

        public init(
            updatedAt: UInt32, sendWindow: UInt32, largestWindow: UInt32, receiveWindow: UInt32, receiveUpdate: UInt32
        ) {
            self.updatedAt = updatedAt
            self.sendWindow = sendWindow
            self.largestWindow = largestWindow
            self.receiveWindow = receiveWindow
            self.receiveUpdate = receiveUpdate
        }
    }

    /// TCP_REPAIR_WINDOW, in repair mode; Linux 4.8.
    public static func repairWindow(_ socket: Int32) throws(Errno) -> RepairWindow {
        let bytes = try bytes(of: socket, TCPOption.repairWindow, level: tcpLevel, atMost: 20)
        guard bytes.count == 20 else { throw .badMessage }
        let words = (0..<5).map { bytes[...].integer(at: 4 * $0, of: UInt32.self) }
        return RepairWindow(
            updatedAt: words[0], sendWindow: words[1], largestWindow: words[2], receiveWindow: words[3],
            receiveUpdate: words[4])
    }

    /// - Throws: EINVAL where the numbers contradict those of the queues.
    public static func setRepairWindow(_ socket: Int32, _ window: RepairWindow) throws(Errno) {
        var bytes: [UInt8] = []
        for word in [
            window.updatedAt, window.sendWindow, window.largestWindow, window.receiveWindow, window.receiveUpdate,
        ] { bytes.append(integer: word) }
        try set(socket, TCPOption.repairWindow, level: tcpLevel, to: bytes)
    }

    // MARK: Bytes of streams

    /// Reads without taking anything away (MSG_PEEK) and without waiting.
    public static func peekStream(_ socket: Int32, atMost count: Int) throws(Errno) -> [UInt8] {
        let (peek, doNotWait): (UInt, UInt) = (0x2, 0x40)
        if count <= 0 { return [] }
        return try Linux.bytes(filledBy: count) { address in
            outcome(of: Int(SYS_recvfrom), UInt(signed: socket), address, UInt(count), peek | doNotWait)
        }
    }

    /// Sends without waiting.
    ///
    /// - Returns: how many of the bytes.
    public static func sendStream(_ socket: Int32, _ bytes: [UInt8]) throws(Errno) -> Int {
        let (doNotWait, noSignal): (UInt, UInt) = (0x40, 0x4000)
        return try withAddress(ofBytes: bytes) { address, count in
            outcome(of: Int(SYS_sendto), UInt(signed: socket), address, count, doNotWait | noSignal)
        }.get()
    }

    /// SIOCOUTQ (tcp(7)): bytes that were sent or wait to be sent and that nobody has acknowledged; a FIN counts.
    public static func unacknowledged(_ socket: Int32) throws(Errno) -> Int { try unreceived(socket) }

    /// SIOCOUTQNSD: bytes that wait to be sent; a FIN counts.
    public static func unsent(_ socket: Int32) throws(Errno) -> Int {
        var count: Int32 = 0
        _ = try withAddress(of: &count) {
            outcome(of: Int(SYS_ioctl), UInt(signed: socket), UInt(APUS_SIOCOUTQNSD), $0)
        }
        return Int(count)
    }

    /// sendto(2) to an address.
    ///
    /// - Parameter unfinished: more will come before it goes (MSG_MORE).
    public static func send(
        _ socket: Int32, _ bytes: [UInt8], to address: [UInt8], unfinished: Bool = false
    ) throws(Errno) {
        let more: UInt = 0x8000
        _ = try withAddress(ofBytes: bytes) { payload, count in
            withAddress(ofBytes: address) { address, length in
                outcome(
                    of: Int(SYS_sendto), UInt(signed: socket), payload, count, unfinished ? more : 0, address, length)
            }
        }.get()
    }
}
