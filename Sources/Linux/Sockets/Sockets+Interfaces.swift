internal import CLinux
public import SystemPackage

/// Network interfaces by name and number (netdevice(7)), as a socket's network namespace has them.
extension Sockets {
    private static let (nameOf, numberOf): (UInt, UInt) = (0x8910, 0x8933)
    private static let longest = 16

    /// SIOCGIFNAME.
    ///
    /// - Throws: ENODEV where there is none with this number.
    public static func interfaceName(_ number: UInt32, through socket: Int32) throws(Errno) -> String {
        var request = [UInt8](repeating: 0, count: longest)
        request.append(integer: number)
        request += [UInt8](repeating: 0, count: 20)
        let answer = try interface(nameOf, request, socket)
        return String(decoding: answer.prefix(longest).prefix { $0 != 0 }, as: UTF8.self)
    }

    /// SIOCGIFINDEX.
    ///
    /// - Throws: ENODEV where there is none of this name.
    public static func interfaceNumber(_ name: String, through socket: Int32) throws(Errno) -> UInt32 {
        var request = Array(name.utf8.prefix(longest - 1))
        request += [UInt8](repeating: 0, count: 40 - request.count)
        return try interface(numberOf, request, socket)[...].integer(at: longest, of: UInt32.self)
    }

    /// struct ifreq: a name of 16 bytes, and what depends on the request.
    private static func interface(_ request: UInt, _ argument: [UInt8], _ socket: Int32) throws(Errno) -> [UInt8] {
        var argument = argument
        _ = try unsafe argument.withUnsafeMutableBytes { buffer in
            // The address is used by one call, within the closure that lends the memory.
            outcome(of: Int(SYS_ioctl), UInt(signed: socket), request, UInt(bitPattern: buffer.baseAddress))
        }.get()
        return argument
    }
}
