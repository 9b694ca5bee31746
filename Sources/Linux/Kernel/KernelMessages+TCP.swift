public import SystemPackage

/// Of TCP (struct tcp_sock of linux/tcp.h, struct request_sock_queue of net/request_sock.h).
extension KernelMessages {
    /// A connection that the kernel has made and nobody has accepted yet.
    public struct Stream: Sendable {
        /// As the packets have them: an IPv4 address in an IPv6 one is an IPv4 address.
        public var ends: PacketFilter.Connection
        /// The kernel's number of the state.
        public var state: UInt8
        /// The network device that it is bound to; 0 for none.
        public var device: UInt32
        /// The sequence numbers of what is received and sent next, and of what waits for its acknowledgement.
        public var received, sent, unacknowledged: UInt32
        /// What the ends have agreed upon, as TCPI_OPT_* say it: timestamps 1, selective acknowledgements 2, window scales 4.
        public var options: UInt8
        public var sendScale, receiveScale: UInt8
        /// The largest segment that the other end takes.
        public var largestSegment: UInt16
        /// What timestamps are ahead of the clock of the host, and the last one of the other end.
        public var timestampOffset, peerTimestamp: UInt32
        /// The window of the other end.
        public var window: UInt32
        /// There is urgent data.
        public var isUrgent: Bool
        /// What was received.
        public var payload: [UInt8]
    }

    /// The connections that wait to be accepted, in that order.
    ///
    /// - Parameter listener: struct sock of a socket that listens.
    /// - Throws: EOPNOTSUPP where one is held as Apus does not know it; EBADMSG where it makes no sense.
    public func streams(waitingAt listener: UInt64) throws(Errno) -> [Stream] {
        var request = try kernel.pointer(listener, "inet_connection_sock", "icsk_accept_queue.rskq_accept_head")
        var found: [Stream] = []
        while request != 0 {
            guard found.count < 65536 else { throw .badMessage }
            found.append(try stream(try kernel.pointer(request, "request_sock", "sk")))
            request = try kernel.pointer(request, "request_sock", "dl_next")
        }
        return found
    }

    private func stream(_ socket: UInt64) throws(Errno) -> Stream {
        func number(_ path: String) throws(Errno) -> UInt32 { try kernel.number(socket, "tcp_sock", path) }
        func bits(_ path: String) throws(Errno) -> UInt8 {
            UInt8(truncatingIfNeeded: try kernel.bits(socket, "tcp_sock", "rx_opt." + path))
        }
        let (scaled, selective) = (try bits("wscale_ok") != 0, try bits("sack_ok") != 0)
        let next = try number("rcv_nxt")
        return Stream(
            ends: try ends(of: socket), state: try byte(socket, "sock_common", "skc_state"),
            device: try kernel.number(socket, "sock_common", "skc_bound_dev_if"),
            received: next, sent: try number("snd_nxt"), unacknowledged: try number("snd_una"),
            options: (try bits("tstamp_ok") != 0 ? 1 : 0) | (selective ? 2 : 0) | (scaled ? 4 : 0),
            sendScale: scaled ? try bits("snd_wscale") : 0, receiveScale: scaled ? try bits("rcv_wscale") : 0,
            largestSegment: try half(socket, "tcp_sock", "rx_opt.mss_clamp"),
            timestampOffset: try number("tsoffset"), peerTimestamp: try number("rx_opt.ts_recent"),
            window: try number("snd_wnd"), isUrgent: try half(socket, "tcp_sock", "urg_data") != 0,
            payload: try received(of: socket, from: try number("copied_seq"), to: next))
    }

    /// The bytes of a receive queue. A FIN counts as one at its end, and is none.
    private func received(of socket: UInt64, from first: UInt32, to last: UInt32) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        for message in try all(ofQueueOf: socket) {
            let control = message.address + (try kernel.offset("sk_buff", "cb"))
            let start = try kernel.number(control, "tcp_skb_cb", "seq")
            // What was sent twice may begin before the end of what came before it.
            let known = Int(Int32(bitPattern: first &+ UInt32(bytes.count) &- start))
            guard known >= 0 else { throw .badMessage }
            bytes += try payload(of: message).dropFirst(known)
        }
        let missing = Int(Int32(bitPattern: last &- first)) - bytes.count
        guard missing == 0 || missing == 1 else { throw .badMessage }
        return bytes
    }

    private func ends(of socket: UInt64) throws(Errno) -> PacketFilter.Connection {
        let common = "sock_common"
        let (inet, inet6): (UInt16, UInt16) = (2, 10)
        let family = try half(socket, common, "skc_family")
        let own = try half(socket, common, "skc_num")
        let other = try half(socket, common, "skc_dport").byteSwapped
        func address(_ path: String, _ count: Int) throws(Errno) -> [UInt8] {
            try kernel.bytes(count, at: socket + kernel.offset(common, path))
        }
        if family == inet6 {
            let (here, there) = (try address("skc_v6_rcv_saddr", 16), try address("skc_v6_daddr", 16))
            let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
            if !there.starts(with: mapped) {
                return .init(own: .init(address: here, port: own), other: .init(address: there, port: other))
            }
        } else if family != inet {
            throw .notSupported
        }
        return .init(
            own: .init(address: try address("skc_rcv_saddr", 4), port: own),
            other: .init(address: try address("skc_daddr", 4), port: other))
    }

    private func byte(_ address: UInt64, _ structure: String, _ path: String) throws(Errno) -> UInt8 {
        try kernel.bytes(1, at: address + kernel.offset(structure, path)).first ?? 0
    }

    private func half(_ address: UInt64, _ structure: String, _ path: String) throws(Errno) -> UInt16 {
        try kernel.bytes(2, at: address + kernel.offset(structure, path))[...].integer(at: 0, of: UInt16.self)
    }
}
