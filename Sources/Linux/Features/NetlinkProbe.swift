internal import CLinux
internal import Glibc
internal import SystemPackage

/// One question to the kernel over netlink(7), and whether it was granted.
struct NetlinkProbe {
    private var bytes: [UInt8]
    private let family: UInt

    /// Begins a message.
    ///
    /// - Parameters:
    ///   - family: NETLINK_ROUTE 0, NETLINK_SOCK_DIAG 4.
    ///   - flags: NLM_F_* beside NLM_F_REQUEST.
    init(family: UInt, type: UInt16, flags: UInt16 = 0) {
        self.family = family
        bytes = [0, 0, 0, 0]
        append(type)
        append(flags | 1)
        append(UInt32(1))
        append(UInt32(0))
    }

    mutating func append<Value: FixedWidthInteger>(_ value: Value) {
        bytes.append(integer: value)
    }

    /// Adds an attribute, padded to four bytes.
    mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
        append(UInt16(4 + value.count))
        append(type)
        bytes += value
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    mutating func attribute(_ type: UInt16, _ value: UInt32) {
        attribute(type, (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
    }

    /// Asks from this process.
    func ask() throws(Errno) {
        let error = withMessage { message, count, reply in
            Self.exchange(family, message, count, reply)
        }
        if error != 0 { throw Errno(rawValue: error) }
    }

    /// Asks from a child with a network namespace of its own, which goes with it.
    func askInNewNamespace() throws(Errno) {
        let error = withMessage { message, count, reply -> Int32 in
            do throws(Errno) {
                _ = try ProbeChild {
                    let newNetwork: UInt = 0x4000_0000
                    let error = ProbeChild.error(of: SYS_unshare, newNetwork)
                    return error != 0 ? error : Self.exchange(family, message, count, reply)
                }
                return 0
            } catch {
                return error.rawValue
            }
        }
        if error != 0 { throw Errno(rawValue: error) }
    }

    private static let replySize = 4096

    private func withMessage(_ body: (_ message: UInt, _ count: UInt, _ reply: UInt) -> Int32) -> Int32 {
        var message = bytes
        let length = UInt32(message.count)
        for index in 0..<4 { message[index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
        var reply = [UInt8](repeating: 0, count: Self.replySize)
        return unsafe reply.withUnsafeMutableBytes { reply in
            // The address is used by calls that write at most `replySize` bytes, within the closure.
            let address = UInt(bitPattern: reply.baseAddress)
            return withAddress(ofBytes: message) { body($0, $1, address) }
        }
    }

    /// Sends, receives one message, and gives the error number in it: 0 for an acknowledgement or an answer. Nothing
    /// but system calls, so that a child may run it.
    private static func exchange(_ family: UInt, _ message: UInt, _ count: UInt, _ reply: UInt) -> Int32 {
        let socket = apus_syscall(Int(SYS_socket), UInt(AF_NETLINK), UInt(3 | O_CLOEXEC), family, 0, 0, 0)
        if socket < 0 { return apus_errno() }
        defer { _ = apus_syscall(Int(SYS_close), UInt(bitPattern: socket), 0, 0, 0, 0, 0) }
        if apus_syscall(Int(SYS_sendto), UInt(bitPattern: socket), message, count, 0, 0, 0) < 0 { return apus_errno() }
        let got = apus_syscall(
            Int(SYS_recvfrom), UInt(bitPattern: socket), reply, UInt(replySize), 0, 0, 0)
        if got < 20 { return got < 0 ? apus_errno() : EIO }
        guard let answer = unsafe UnsafeRawPointer(bitPattern: reply) else { return EIO }
        // Struct nlmsghdr: the type at 4; struct nlmsgerr behind it begins with the negative error number. The 20 bytes
        // that are looked at have been received.
        let isError = unsafe answer.loadUnaligned(fromByteOffset: 4, as: UInt16.self) == 2
        return isError ? unsafe -answer.loadUnaligned(fromByteOffset: 16, as: Int32.self) : 0
    }
}
