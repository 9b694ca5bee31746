internal import CLinux
public import SystemPackage

/// A message as recvmsg(2) gives it.
public struct SocketMessage: Sendable {
    public var payload: [UInt8]
    /// Descriptors that came with it (SCM_RIGHTS), open in this process, which has to close them.
    public var descriptors: [Int32] = []
    /// Who sent it (SCM_CREDENTIALS), where the socket asks for that.
    public var credentials: Credentials?
    /// There were more bytes than asked for (MSG_TRUNC).
    public var isTruncated = false
    /// The sender's address; empty where it has none.
    public var sender: [UInt8] = []
    /// What else came with it, where the socket asks for it.
    public var ancillary: [Ancillary] = []

    /// struct cmsghdr and what follows it (cmsg(3)).
    public struct Ancillary: Sendable, Hashable {
        public var level: Int32
        public var type: Int32
        public var data: [UInt8]

        public init(level: Int32, type: Int32, data: [UInt8]) {
            self.level = level
            self.type = type
            self.data = data
        }
    }

    /// struct ucred (unix(7)).
    public struct Credentials: Sendable, Hashable {
        public var pid: Int32
        public var uid: UInt32
        public var gid: UInt32
        public init(pid: Int32, uid: UInt32, gid: UInt32) {
            self.pid = pid
            self.uid = uid
            self.gid = gid
        }
    }

    public init(_ payload: [UInt8]) { self.payload = payload }
}

extension Sockets {
    private static let rights: UInt32 = 1
    private static let credentialsType: UInt32 = 2
    private static let head = 16

    /// recvmsg(2) that leaves the message where it is (MSG_PEEK) and does not wait.
    ///
    /// - Parameter wholePieces: of a stream only what was sent in pieces that fit whole: behind the room for `count`
    ///   bytes comes an address that the kernel cannot write to, at which it gives up the piece that does not fit.
    /// - Throws: EAGAIN where nothing is queued (behind the peek offset); EFAULT where not even the first piece fits.
    public static func peek(
        _ socket: Int32, atMost count: Int, wholePieces: Bool = false
    ) throws(Errno) -> SocketMessage {
        let peek: UInt = 0x2
        return try message(socket, atMost: count, wholePieces: wholePieces, flags: peek)
    }

    /// recvmsg(2) that does not wait. Of a socket whose other end is closed the message is empty.
    ///
    /// - Throws: EAGAIN where nothing is queued.
    public static func receive(_ socket: Int32, atMost count: Int) throws(Errno) -> SocketMessage {
        try message(socket, atMost: count, wholePieces: false, flags: 0)
    }

    private static func message(
        _ socket: Int32, atMost count: Int, wholePieces: Bool, flags: UInt
    ) throws(Errno) -> SocketMessage {
        let (doNotWait, closeOnExec): (UInt, UInt) = (0x40, 0x4000_0000)
        var payload = [UInt8](repeating: 0, count: max(count, 1))
        var control = [UInt8](repeating: 0, count: 4096)
        var name = [UInt8](repeating: 0, count: 128)
        // The first page is never mapped (vm.mmap_min_addr).
        let nowhere: UInt64 = 16
        var pieces = (apus_iovec(), apus_iovec(base: nowhere, length: UInt64(count) + 1))
        var header = apus_message()
        header.name_length = UInt32(name.count)
        header.piece_count = wholePieces ? 2 : 1
        header.control_length = UInt64(control.count)
        let got = try unsafe payload.withUnsafeMutableBytes { payload in
            unsafe control.withUnsafeMutableBytes { control in
                unsafe name.withUnsafeMutableBytes { name in
                    unsafe withUnsafeMutablePointer(to: &pieces) { pieces in
                        // All addresses are used by one call, within the closures that lend the memory.
                        unsafe pieces.pointee.0.base = UInt64(UInt(bitPattern: payload.baseAddress))
                        unsafe pieces.pointee.0.length = UInt64(count)
                        header.pieces = UInt64(UInt(bitPattern: pieces))
                        header.control = UInt64(UInt(bitPattern: control.baseAddress))
                        header.name = UInt64(UInt(bitPattern: name.baseAddress))
                        return unsafe withUnsafeMutablePointer(to: &header) { header in
                            outcome(
                                of: Int(SYS_recvmsg), UInt(signed: socket), UInt(bitPattern: header),
                                flags | doNotWait | closeOnExec)
                        }
                    }
                }
            }
        }.get()
        var message = SocketMessage(Array(payload.prefix(min(got, count))))
        message.sender = Array(name.prefix(Int(header.name_length)))
        let truncated: Int32 = 0x20
        message.isTruncated = header.flags & truncated != 0
        parse(Array(control.prefix(Int(header.control_length))), into: &message)
        return message
    }

    /// struct cmsghdr: a length of 64 bits, level, type; each padded to eight bytes (cmsg(3)).
    private static func parse(_ control: [UInt8], into message: inout SocketMessage) {
        var rest = control[...]
        while rest.count >= head {
            let length = Int(truncatingIfNeeded: rest.integer(at: 0, of: UInt64.self))
            guard length >= head, length <= rest.count else { return }
            let data = rest.dropFirst(head).prefix(length - head)
            let level = rest.integer(at: 8, of: UInt32.self)
            let type = rest.integer(at: 12, of: UInt32.self)
            if level == UInt32(socketLevel), type == rights {
                for index in 0..<data.count / 4 {
                    message.descriptors.append(Int32(bitPattern: data.integer(at: 4 * index, of: UInt32.self)))
                }
            } else if level == UInt32(socketLevel), type == credentialsType, data.count >= 12 {
                message.credentials = .init(
                    pid: Int32(bitPattern: data.integer(at: 0, of: UInt32.self)),
                    uid: data.integer(at: 4, of: UInt32.self),
                    gid: data.integer(at: 8, of: UInt32.self))
            } else {
                message.ancillary.append(
                    .init(level: Int32(bitPattern: level), type: Int32(bitPattern: type), data: Array(data)))
            }
            rest = rest.dropFirst((length + 7) & ~7)
        }
    }

    /// sendmsg(2) of a whole message, without waiting and without SIGPIPE.
    ///
    /// - Parameters:
    ///   - address: the receiver of a datagram, where the socket is not connected to it.
    ///   - other: who sends it.
    /// - Returns: the bytes sent: fewer than all on a stream whose receiver takes no more.
    /// - Throws: EAGAIN where nothing more fits.
    @discardableResult
    public static func send(
        _ socket: Int32, _ message: SocketMessage, to address: [UInt8] = [], as other: StandIn? = nil
    ) throws(Errno) -> Int {
        let (doNotWait, noSignal): (UInt, UInt) = (0x40, 0x4000)
        let control = controlBytes(message)
        var header = apus_message()
        var piece = apus_iovec()
        header.piece_count = 1
        return try withAddress(ofBytes: message.payload) { payload, count in
            withAddress(ofBytes: control) { control, controlCount in
                withAddress(ofBytes: address) { address, addressCount in
                    unsafe withUnsafeMutablePointer(to: &piece) { piece in
                        // All addresses are used by one call, within the closures that lend the memory.
                        unsafe piece.pointee.base = UInt64(payload)
                        unsafe piece.pointee.length = UInt64(count)
                        header.pieces = UInt64(UInt(bitPattern: piece))
                        header.control = controlCount == 0 ? 0 : UInt64(control)
                        header.control_length = UInt64(controlCount)
                        header.name = addressCount == 0 ? 0 : UInt64(address)
                        header.name_length = UInt32(addressCount)
                        return unsafe withUnsafeMutablePointer(to: &header) { header in
                            let (number, socket) = (Int(SYS_sendmsg), UInt(signed: socket))
                            let (message, flags) = (UInt(bitPattern: header), doNotWait | noSignal)
                            return other?.outcome(of: number, socket, message, flags)
                                ?? outcome(of: number, socket, message, flags)
                        }
                    }
                }
            }
        }.get()
    }

    private static func controlBytes(_ message: SocketMessage) -> [UInt8] {
        var control: [UInt8] = []
        func add(_ type: UInt32, _ words: [UInt32]) {
            control.append(integer: UInt64(head + 4 * words.count))
            control.append(integer: UInt32(socketLevel))
            control.append(integer: type)
            for word in words { control.append(integer: word) }
            while control.count % 8 != 0 { control.append(0) }
        }
        if let sender = message.credentials {
            add(credentialsType, [UInt32(bitPattern: sender.pid), sender.uid, sender.gid])
        }
        if !message.descriptors.isEmpty { add(rights, message.descriptors.map(UInt32.init(bitPattern:))) }
        return control
    }
}
