internal import CLinux
public import SystemPackage

/// What the kernel tells of a Unix socket by its inode (sock_diag(7), unix_diag).
public struct UnixSocketReport: Sendable, Hashable {
    public var inode: UInt32
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
    public var type: Int32
    public var state: State
    /// The bytes of `sun_path`: a path with the NUL at its end, an abstract name with the NUL at its beginning; nil
    /// where it has no name.
    public var name: [UInt8]?
    /// The inode of the file it is bound to, and the device of that.
    public var fileInode: UInt32?
    public var fileDevice: DeviceNumber?
    /// The other end; 0 where that has no descriptor: it is closed, or not accepted yet. nil where there is none.
    public var peer: UInt32?
    /// Of a listening socket: who waits to be accepted, in that order; 0 where the other end is closed again.
    public var waiting: [UInt32] = []
    /// Bytes that can be read; of a listening socket the number of connections that wait.
    public var receiveQueue: UInt32 = 0
    /// Of a listening socket its backlog.
    public var sendQueue: UInt32 = 0
    /// 1 no more is received, 2 no more is sent.
    public var shutdown: UInt8 = 0

    /// The states that Unix sockets take, with the kernel's numbers for those of TCP.
    public enum State: UInt8, Sendable { case connected = 1, unconnected = 7, listening = 10 }

    /// Asks for all Unix sockets of the network namespace that Apus is in.
    ///
    /// - Throws: ENOENT where the kernel lacks CONFIG_UNIX_DIAG.
    public static func all() throws(Errno) -> [UInt32: UnixSocketReport] {
        var found: [UInt32: UnixSocketReport] = [:]
        // All states, any inode; UDIAG_SHOW_NAME, VFS, PEER, ICONS and RQLEN; any cookie.
        try SocketDiagnosis.ask(Sockets.unix, [.max, 0, 0x1f, .max, .max]) { (answer) throws(Errno) in
            try parse(answer, into: &found)
        }
        return found
    }

    /// - Returns: whether this was the last part of the answer.
    static func parse(_ answer: [UInt8], into found: inout [UInt32: UnixSocketReport]) throws(Errno) -> Bool {
        try SocketDiagnosis.messages(in: answer) { body in
            if let report = UnixSocketReport(body) { found[report.inode] = report }
        }
    }

    /// struct unix_diag_msg: family, type, state, padding, inode, a cookie of 64 bits; then attributes.
    private init?(_ body: ArraySlice<UInt8>) {
        let bytes = Array(body)
        guard bytes.count >= 16, let state = State(rawValue: bytes[2]) else { return nil }
        inode = body.integer(at: 4, of: UInt32.self)
        type = Int32(bytes[1])
        self.state = state
        NetlinkAttributes.each(in: body.dropFirst(16)) { take($0, $1) }
    }

    /// UNIX_DIAG_* of linux/unix_diag.h.
    private mutating func take(_ attribute: UInt16, _ value: ArraySlice<UInt8>) {
        switch attribute {
        case 0: name = Array(value)
        case 1:
            fileInode = value.integer(at: 0, of: UInt32.self)
            // The kernel's own form of a device number: 20 bits of minor.
            let device = value.integer(at: 4, of: UInt32.self)
            fileDevice = DeviceNumber(major: device >> 20, minor: device & 0xfffff)
        case 2: peer = value.integer(at: 0, of: UInt32.self)
        case 3: waiting = (0..<value.count / 4).map { value.integer(at: 4 * $0, of: UInt32.self) }
        case 4:
            receiveQueue = value.integer(at: 0, of: UInt32.self)
            sendQueue = value.integer(at: 4, of: UInt32.self)
        case 6: shutdown = value.first ?? 0
        default: break
        }
    }
}
