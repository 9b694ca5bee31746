public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A netlink socket.
public struct NetlinkSocketEnd: Resource {
    let entry: NetlinkSkEntry

    private let supplement: SocketSupplement

    /// - Throws: `object-unsupported`.
    public init(_ entry: NetlinkSkEntry, _ supplement: Supplement) throws(Problem) {
        self.entry = entry
        self.supplement = try SocketSupplement(supplement[.socket, entry.id], id: entry.id)
    }

    public var description: String { "netlink socket of protocol \(entry.protocol), port \(entry.portid)" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let raw: Int32 = 3
            let socket = try Sockets.make(Sockets.netlink, raw, Int32(bitPattern: entry.protocol))
            if entry.portid != 0 { try Sockets.bind(socket.raw, Self.address(port: entry.portid, group: 0)) }
            let addMembership: Int32 = 1
            for (index, word) in entry.groups.enumerated() {
                for bit in 0..<32 where word & 1 << UInt32(bit) != 0 {
                    try Sockets.set(
                        socket.raw, addMembership, level: NetlinkSocket.level, to: Int32(32 * index + bit + 1))
                }
            }
            if entry.state != 0 {
                try Sockets.connect(socket.raw, Self.address(port: entry.dstPortid, group: entry.dstGroup))
            }
            try SocketOptions.apply(entry.opts, to: socket.raw)
            try supplement.applyOptions(to: socket.raw)
            let flags = OpenFlags(rawValue: Int32(bitPattern: entry.flags))
            try Files.setStatusFlags(socket.raw, flags.subtracting([.writeOnly, .readWrite]))
            return socket
        } catch {
            throw Problem(
                error == .addressInUse ? .nameInUse : .fileUnopenable, "the \(self) cannot be made",
                cause: .init(error, attempted: "socket, bind, setsockopt"),
                remedy: "Run Apus as root; where the port is in use, end the program that has it (ss -f netlink -p)")
        }
    }

    private static func address(port: UInt32, group: UInt32) -> [UInt8] {
        [UInt8(Sockets.netlink), 0, 0, 0]
            + [port, group].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
    }
}
