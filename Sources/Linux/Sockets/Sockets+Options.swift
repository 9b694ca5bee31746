internal import CLinux
public import SystemPackage

/// getsockopt(2) and setsockopt(2).
extension Sockets {
    /// The level of options that all sockets have.
    public static let socketLevel: Int32 = 1

    /// An option of level SOL_SOCKET (asm-generic/socket.h).
    public struct Option: RawRepresentable, Sendable, Hashable {
        public let rawValue: Int32
        public init(rawValue: Int32) { self.rawValue = rawValue }

        public static let reuseAddress = Option(rawValue: 2)
        public static let type = Option(rawValue: 3)
        public static let error = Option(rawValue: 4)
        public static let doNotRoute = Option(rawValue: 5)
        public static let broadcast = Option(rawValue: 6)
        public static let sendBuffer = Option(rawValue: 7)
        public static let receiveBuffer = Option(rawValue: 8)
        public static let keepAlive = Option(rawValue: 9)
        public static let urgentInline = Option(rawValue: 10)
        public static let noCheck = Option(rawValue: 11)
        public static let priority = Option(rawValue: 12)
        public static let linger = Option(rawValue: 13)
        public static let reusePort = Option(rawValue: 15)
        public static let passCredentials = Option(rawValue: 16)
        public static let peerCredentials = Option(rawValue: 17)
        public static let receiveLowWater = Option(rawValue: 18)
        public static let receiveTimeout = Option(rawValue: 20)
        public static let sendTimeout = Option(rawValue: 21)
        public static let boundDevice = Option(rawValue: 25)
        public static let filter = Option(rawValue: 26)
        public static let timestamps = Option(rawValue: 29)
        public static let accepting = Option(rawValue: 30)
        public static let forcedSendBuffer = Option(rawValue: APUS_SO_SNDBUFFORCE)
        public static let forcedReceiveBuffer = Option(rawValue: APUS_SO_RCVBUFFORCE)
        public static let passSecurity = Option(rawValue: 34)
        public static let timestampsInNanoseconds = Option(rawValue: 35)
        public static let mark = Option(rawValue: 36)
        public static let timestamping = Option(rawValue: 37)
        public static let protocolNumber = Option(rawValue: 38)
        public static let domain = Option(rawValue: 39)
        public static let droppedCount = Option(rawValue: 40)
        public static let peekOffset = Option(rawValue: APUS_SO_PEEK_OFF)
        public static let lockedFilter = Option(rawValue: 44)
        public static let busyPoll = Option(rawValue: 46)
        public static let zeroCopy = Option(rawValue: 60)
        public static let networkCookie = Option(rawValue: APUS_SO_NETNS_COOKIE)
        public static let bufferLocks = Option(rawValue: APUS_SO_BUF_LOCK)
        public static let passProcess = Option(rawValue: 76)
    }

    /// The bytes of an option, at most `capacity`.
    ///
    /// - Throws: ENOPROTOOPT where the kernel or the kind of socket does not know it.
    public static func bytes(
        of socket: Int32, _ option: Int32, level: Int32 = socketLevel, atMost capacity: Int
    ) throws(Errno) -> [UInt8] {
        var length = UInt32(capacity)
        return try Linux.bytes(filledBy: capacity) { address in
            unsafe withUnsafeMutablePointer(to: &length) { pointer in
                // Both addresses are used by one call, within the closures that lend the memory.
                outcome(
                    of: Int(SYS_getsockopt), UInt(signed: socket), UInt(signed: level), UInt(signed: option), address,
                    UInt(bitPattern: pointer)
                ).map { _ in unsafe min(Int(pointer.pointee), capacity) }
            }
        }
    }

    /// An option that is one number; some are a single byte.
    public static func number(
        of socket: Int32, _ option: Int32, level: Int32 = socketLevel
    ) throws(Errno) -> Int32 {
        // Without an array: a survey of many sockets asks a hundred times about each. What is not filled stays zero.
        var (value, length): (Int32, UInt32) = (0, 4)
        try withAddress(of: &value) { address in
            unsafe withUnsafeMutablePointer(to: &length) { pointer in
                // Both addresses are used by one call, within the closures that lend the memory.
                outcome(
                    of: Int(SYS_getsockopt), UInt(signed: socket), UInt(signed: level), UInt(signed: option), address,
                    UInt(bitPattern: pointer)
                ).map { _ in }
            }
        }
        return Int32(littleEndian: value)
    }

    public static func number(of socket: Int32, _ option: Option) throws(Errno) -> Int32 {
        try number(of: socket, option.rawValue)
    }

    public static func set(
        _ socket: Int32, _ option: Int32, level: Int32 = socketLevel, to bytes: [UInt8]
    ) throws(Errno) {
        _ = try withAddress(ofBytes: bytes) { address, count in
            outcome(
                of: Int(SYS_setsockopt), UInt(signed: socket), UInt(signed: level), UInt(signed: option), address,
                count)
        }.get()
    }

    public static func set(
        _ socket: Int32, _ option: Int32, level: Int32 = socketLevel, to number: Int32
    ) throws(Errno) {
        try set(socket, option, level: level, to: (0..<4).map { UInt8(truncatingIfNeeded: number >> Int32(8 * $0)) })
    }

    public static func set(_ socket: Int32, _ option: Option, to number: Int32) throws(Errno) {
        try set(socket, option.rawValue, to: number)
    }

    /// Whether TCP sockets of this kernel can have keys to sign segments with (TCP_MD5SIG, CONFIG_TCP_MD5SIG). One that can
    /// complains of a key that is too short, any other of an option that it does not know.
    public static let canSign: Bool = {
        let signature: Int32 = 14
        do throws(Errno) {
            let socket = try make(inet, stream)
            try set(socket.raw, signature, level: tcpLevel, to: Int32(0))
            return true
        } catch {
            return error != .protocolNotAvailable
        }
    }()

    /// Whether a TCP socket has keys of the authentication option (TCP_AO_INFO, RFC 5925; Linux 6.7).
    public static func hasAuthentication(_ socket: Int32) -> Bool {
        // struct tcp_ao_info_opt, of which the reserved fields have to be zero.
        let (authentication, size): (Int32, Int) = (40, 64)
        var (info, length) = ([UInt8](repeating: 0, count: size), UInt32(size))
        let result = unsafe info.withUnsafeMutableBytes { buffer in
            unsafe withUnsafeMutablePointer(to: &length) { pointer in
                // Both addresses are used by one call, within the closures that lend the memory.
                outcome(
                    of: Int(SYS_getsockopt), UInt(signed: socket), UInt(signed: tcpLevel), UInt(signed: authentication),
                    UInt(bitPattern: buffer.baseAddress), UInt(bitPattern: pointer))
            }
        }
        // ENOENT where it has none, ENOPROTOOPT where the kernel does not know of such keys.
        return (try? result.get()) != nil
    }

    /// SO_GET_FILTER: the instructions of the filter of packets, 8 bytes each; nothing where there is none.
    public static func filter(of socket: Int32) throws(Errno) -> [UInt8] {
        var count: UInt32 = 0
        _ = try withAddress(of: &count) { length in
            outcome(
                of: Int(SYS_getsockopt), UInt(signed: socket), UInt(signed: socketLevel),
                UInt(signed: Option.filter.rawValue), 0, length)
        }
        guard count > 0 else { return [] }
        // The length counts instructions, here and below.
        let size = 8 * Int(count)
        return try Linux.bytes(filledBy: size) { address in
            unsafe withUnsafeMutablePointer(to: &count) { pointer in
                outcome(
                    of: Int(SYS_getsockopt), UInt(signed: socket), UInt(signed: socketLevel),
                    UInt(signed: Option.filter.rawValue), address, UInt(bitPattern: pointer)
                ).map { _ in size }
            }
        }
    }

    /// SO_ATTACH_FILTER with the instructions that `filter(of:)` gave.
    public static func attach(_ filter: [UInt8], to socket: Int32) throws(Errno) {
        _ = try withAddress(ofBytes: filter) { address, count -> Result<Void, Errno> in
            // struct sock_fprog: a count of 16 bits, and at 8 the address, valid within the closure.
            var program: [UInt8] = []
            for value in [UInt64(count / 8), UInt64(address)] {
                program += (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
            }
            return Result { () throws(Errno) in try set(socket, Option.filter.rawValue, to: program) }
        }.get()
    }
}
