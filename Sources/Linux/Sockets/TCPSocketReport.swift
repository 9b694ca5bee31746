internal import CLinux
public import SystemPackage

/// What the kernel tells of a TCP socket by its inode (sock_diag(7), inet_diag).
public struct TCPSocketReport: Sendable, Hashable {
    /// The kernel's number of the state.
    public var state: UInt8
    /// The own address, of 4 or 16 bytes, and port.
    public var address: [UInt8]
    public var port: UInt16
    /// The other end, which getpeername(2) does not tell while the connection is being made (SYN_SENT): its address, of 4 or
    /// 16 bytes, and its port; zeros where there is none.
    public var peerAddress: [UInt8]
    public var peerPort: UInt16
    /// The network device that the socket is bound to, by its number, also by the scope of an address; 0 for none.
    public var device: UInt32
    /// It signs its segments (TCP_MD5SIG, RFC 2385). Told to who has CAP_NET_ADMIN, and of the keys their addresses alone.
    public var signs = false

    /// LISTEN.
    public static let listening: UInt8 = 10

    /// Asks for all TCP sockets of the network namespace that Apus is in that have a descriptor; one question, however many
    /// there are.
    ///
    /// - Throws: ENOENT where the kernel lacks CONFIG_INET_TCP_DIAG.
    public static func all() throws(Errno) -> [UInt32: TCPSocketReport] {
        var found: [UInt32: TCPSocketReport] = [:]
        let tcp: Int32 = 6
        // All states; then struct inet_diag_sockid, of which a request for all looks at nothing.
        let words = [UInt32.max] + [UInt32](repeating: 0, count: 12)
        // The keys come with INET_DIAG_INFO alone.
        let information: UInt8 = 1 << (2 - 1)
        for family in [Sockets.inet, Sockets.inet6] {
            try SocketDiagnosis.ask(family, protocol: tcp, beside: information, words) { (answer) throws(Errno) in
                try parse(answer, into: &found)
            }
        }
        return found
    }

    /// - Returns: whether this was the last part of the answer.
    static func parse(_ answer: [UInt8], into found: inout [UInt32: TCPSocketReport]) throws(Errno) -> Bool {
        // struct inet_diag_msg: family, state, timer, retransmissions; the ports, the own address, the other one, the device
        // and a cookie, which name the connection; four words; the inode. INET_DIAG_MD5SIG.
        let (size, inodeAt, keys): (Int, Int, UInt16) = (72, 68, 18)
        return try SocketDiagnosis.messages(in: answer) { body in
            guard body.count >= size else { return }
            let inode = body.integer(at: inodeAt, of: UInt32.self)
            // Those that no process has any more.
            if inode == 0 { return }
            let start = body.startIndex
            let isSix = body[start] == UInt8(Sockets.inet6)
            var report = TCPSocketReport(
                state: body[start + 1], address: Array(body.dropFirst(8).prefix(isSix ? 16 : 4)),
                port: body.integer(at: 4, of: UInt16.self).byteSwapped,
                peerAddress: Array(body.dropFirst(24).prefix(isSix ? 16 : 4)),
                peerPort: body.integer(at: 6, of: UInt16.self).byteSwapped,
                device: body.integer(at: 40, of: UInt32.self))
            NetlinkAttributes.each(in: body.dropFirst(size)) { type, value in
                if type == keys && !value.isEmpty { report.signs = true }
            }
            found[inode] = report
        }
    }
}
