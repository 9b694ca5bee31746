internal import CLinux
public import SystemPackage

/// Sockets (socket(7)). Addresses are the bytes that the kernel takes, from the family on.
public enum Sockets {
    public static let unix: Int32 = 1
    public static let inet: Int32 = 2
    public static let inet6: Int32 = 10
    public static let netlink: Int32 = 16
    public static let packet: Int32 = 17

    public static let stream: Int32 = 1
    public static let datagram: Int32 = 2
    public static let sequencedPackets: Int32 = 5

    /// socket(2), close-on-exec.
    public static func make(_ domain: Int32, _ type: Int32, _ protocolNumber: Int32 = 0) throws(Errno)
        -> OwnedDescriptor
    {
        let closeOnExec: Int32 = 0o2000000
        return OwnedDescriptor(
            owning: Int32(
                try call(
                    Int(SYS_socket), UInt(signed: domain), UInt(signed: type | closeOnExec),
                    UInt(signed: protocolNumber))))
    }

    /// The same by another process.
    public static func make(_ domain: Int32, _ type: Int32, _ protocolNumber: Int32, as other: StandIn) throws(Errno)
        -> OwnedDescriptor
    {
        let closeOnExec: Int32 = 0o2000000
        return OwnedDescriptor(
            owning: Int32(
                try other.outcome(
                    of: Int(SYS_socket), UInt(signed: domain), UInt(signed: type | closeOnExec),
                    UInt(signed: protocolNumber)
                ).get()))
    }

    /// bind(2).
    public static func bind(_ socket: Int32, _ address: [UInt8]) throws(Errno) {
        _ = try withAddress(ofBytes: address) { outcome(of: Int(SYS_bind), UInt(signed: socket), $0, $1) }.get()
    }

    /// connect(2).
    public static func connect(_ socket: Int32, _ address: [UInt8], as other: StandIn? = nil) throws(Errno) {
        _ = try withAddress(ofBytes: address) {
            other?.outcome(of: Int(SYS_connect), UInt(signed: socket), $0, $1)
                ?? outcome(of: Int(SYS_connect), UInt(signed: socket), $0, $1)
        }.get()
    }

    /// listen(2).
    public static func listen(_ socket: Int32, backlog: Int32, as other: StandIn? = nil) throws(Errno) {
        let (socket, backlog) = (UInt(signed: socket), UInt(signed: backlog))
        _ = try (other?.outcome(of: Int(SYS_listen), socket, backlog) ?? outcome(of: Int(SYS_listen), socket, backlog))
            .get()
    }

    /// accept4(2), close-on-exec.
    public static func accept(_ socket: Int32) throws(Errno) -> OwnedDescriptor {
        let closeOnExec: UInt = 0o2000000
        return OwnedDescriptor(owning: Int32(try call(Int(SYS_accept4), UInt(signed: socket), 0, 0, closeOnExec)))
    }

    /// shutdown(2).
    ///
    /// - Parameter directions: 0 reading, 1 writing, 2 both.
    public static func shutDown(_ socket: Int32, _ directions: Int32) throws(Errno) {
        try call(Int(SYS_shutdown), UInt(signed: socket), UInt(signed: directions))
    }

    /// getsockname(2): the socket's own address.
    public static func name(of socket: Int32) throws(Errno) -> [UInt8] { try address(Int(SYS_getsockname), socket) }

    /// getpeername(2): the address of the other end.
    ///
    /// - Throws: ENOTCONN where there is none.
    public static func peerName(of socket: Int32) throws(Errno) -> [UInt8] {
        try address(Int(SYS_getpeername), socket)
    }

    private static func address(_ number: Int, _ socket: Int32) throws(Errno) -> [UInt8] {
        let capacity = 128
        var length = UInt32(capacity)
        return try Linux.bytes(filledBy: capacity) { address in
            unsafe withUnsafeMutablePointer(to: &length) { pointer in
                // Both addresses are used by one call, within the closures that lend the memory.
                outcome(of: number, UInt(signed: socket), address, UInt(bitPattern: pointer)).map { _ in
                    unsafe min(Int(pointer.pointee), capacity)
                }
            }
        }
    }

    /// SIOCOUTQ (unix(7)): the memory that what was sent and has not been taken yet occupies; not a count of bytes.
    public static func unreceived(_ socket: Int32) throws(Errno) -> Int {
        var count: Int32 = 0
        _ = try withAddress(of: &count) {
            outcome(of: Int(SYS_ioctl), UInt(signed: socket), UInt(APUS_SIOCOUTQ), $0)
        }
        return Int(count)
    }

    /// SIOCUNIXFILE: the file that a Unix socket is bound to, opened by O_PATH.
    ///
    /// - Throws: ENOENT where it is not bound to a file; EPERM without CAP_NET_ADMIN; ENOTTY before Linux 4.12.
    public static func file(of socket: Int32) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(
            owning: Int32(try call(Int(SYS_ioctl), UInt(signed: socket), UInt(APUS_SIOCUNIXFILE))))
    }
}
