internal import Linux
internal import Synchronization
internal import SystemPackage

/// What kind of socket a descriptor is: what sockets are told apart by.
public struct SocketIdentity: Sendable, Hashable {
    /// AF_*.
    public let domain: Int32
    /// SOCK_*.
    public let type: Int32
    /// IPPROTO_*, or the NETLINK_* of a netlink socket.
    public let protocolNumber: Int32
    /// Which network namespace it belongs to (SO_NETNS_COOKIE); nil before Linux 5.14.
    public let networkCookie: UInt64?

    /// Asks a descriptor of Apus; nil where it is no socket.
    init?(_ descriptor: Int32) {
        guard let domain = try? Sockets.number(of: descriptor, .domain),
            let type = try? Sockets.number(of: descriptor, .type),
            let number = try? Sockets.number(of: descriptor, .protocolNumber)
        else { return nil }
        self.domain = domain
        self.type = type
        protocolNumber = number
        let cookie = try? Sockets.bytes(of: descriptor, Sockets.Option.networkCookie.rawValue, atMost: 8)
        networkCookie = cookie.map { $0.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) } }
    }

    /// Asks through a copy of a process's descriptor, which nobody notices; nil where it is no socket or has gone.
    init?(_ number: Int32, of pid: Int32) {
        guard let copy = try? Self.open(number, of: pid) else { return nil }
        self.init(copy.raw)
    }

    /// A copy of a process's descriptor.
    static func open(_ number: Int32, of pid: Int32) throws(Errno) -> OwnedDescriptor {
        if let known = asked.withLock({ $0?.pid == pid ? $0?.process : nil }) {
            // Where that process has ended, the pid may be another's by now.
            if let copy = try? Processes.descriptor(number, of: known.descriptor.raw) { return copy }
        }
        let process = SharedDescriptor(try Processes.open(pid))
        asked.withLock { $0 = (pid, process) }
        return try Processes.descriptor(number, of: process.descriptor.raw)
    }

    /// The process that was asked last: a server has thousands of sockets.
    private static let asked = Mutex<(pid: Int32, process: SharedDescriptor)?>(nil)
}
