internal import CLinux
internal import SystemPackage

/// Questions and orders to the kernel about network devices, their addresses and routes: rtnetlink(7), for the network
/// namespace that Apus is in.
public enum RouteNetlink {
    /// RTM_*.
    enum Kind: UInt16 {
        case newLink = 16
        case getLink = 18
        case newAddress = 20
        case deleteAddress = 21
        case getAddress = 22
        case newRoute = 24
        case getRoute = 26
    }

    /// NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_EXCL, NLM_F_CREATE, NLM_F_REPLACE.
    private static let (request, acknowledge, dump, exclusive, create): (UInt16, UInt16, UInt16, UInt16, UInt16) = (
        0x1, 0x4, 0x300, 0x200, 0x400
    )
    private static let replace: UInt16 = 0x100
    private static let route: Int32 = 0  // NETLINK_ROUTE

    /// All that there is of a kind: what stands behind the header of each message.
    static func all(_ kind: Kind, _ body: [UInt8]) throws(Errno) -> [[UInt8]] {
        let socket = try send(kind, request | dump, body)
        var found: [[UInt8]] = []
        var isDone = false
        while !isDone {
            let answer = try Files.readSome(socket.raw, atMost: 256 << 10)
            isDone = try SocketDiagnosis.messages(in: answer) { found.append(Array($0)) }
        }
        return found
    }

    /// The one that a question is about.
    static func one(_ kind: Kind, _ body: [UInt8]) throws(Errno) -> [UInt8] {
        let socket = try send(kind, request, body)
        var found: [UInt8] = []
        _ = try SocketDiagnosis.messages(in: try Files.readSome(socket.raw, atMost: 256 << 10)) { found = Array($0) }
        return found
    }

    /// Gives an order, and waits until it is carried out.
    ///
    /// - Parameters:
    ///   - makes: something that must not be there yet.
    ///   - replaces: what may be there already.
    static func order(_ kind: Kind, _ body: [UInt8], makes: Bool, replaces: Bool = false) throws(Errno) {
        let how = makes ? create | exclusive : replaces ? create | replace : 0
        let socket = try send(kind, request | acknowledge | how, body)
        let answer = try Files.readSome(socket.raw, atMost: 64 << 10)
        // Struct nlmsgerr behind the header: a negative error number, 0 for an acknowledgement.
        let error = Int32(bitPattern: answer[...].integer(at: 16, of: UInt32.self))
        if error != 0 { throw Errno(rawValue: -error) }
    }

    private static func send(_ kind: Kind, _ flags: UInt16, _ body: [UInt8]) throws(Errno) -> OwnedDescriptor {
        let (raw, headerSize) = (Int32(3), 16)  // SOCK_RAW
        let socket = try Sockets.make(Sockets.netlink, raw, route)
        var message: [UInt8] = []
        message.append(integer: UInt32(headerSize + body.count))
        message.append(integer: kind.rawValue)
        message.append(integer: flags)
        message.append(integer: UInt32(1))
        message.append(integer: UInt32(0))
        try Sockets.send(socket.raw, SocketMessage(message + body))
        return socket
    }
}
