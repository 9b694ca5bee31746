internal import CLinux
public import SystemPackage

/// Network devices (netdevice(7)), of the network namespace that a socket belongs to.
extension Sockets {
    /// struct ifreq: a name of 16 bytes, and what is asked for.
    private static let (nameSize, requestSize): (Int, Int) = (16, 40)

    /// Whether a device can be called so.
    public static func isInterfaceName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count < nameSize && !name.utf8.contains(0)
    }

    /// SIOCGIFNAME: the name of a device.
    ///
    /// - Throws: ENODEV where there is none of that number.
    public static func interface(numbered number: Int32, _ socket: Int32) throws(Errno) -> String {
        var request = [UInt8](repeating: 0, count: nameSize)
        request.append(integer: UInt32(bitPattern: number))
        let answer = try ask(socket, UInt(APUS_SIOCGIFNAME), request)
        return String(decoding: answer.prefix(nameSize).prefix { $0 != 0 }, as: UTF8.self)
    }

    /// SIOCGIFINDEX: the number of a device.
    ///
    /// - Throws: ENODEV where there is none of that name.
    public static func number(ofInterface name: String, _ socket: Int32) throws(Errno) -> Int32 {
        guard isInterfaceName(name) else { throw .noSuchAddressOrDevice }
        let bytes = Array(name.utf8) + [UInt8](repeating: 0, count: nameSize - name.utf8.count)
        let answer = try ask(socket, UInt(APUS_SIOCGIFINDEX), bytes)
        return Int32(bitPattern: answer[...].integer(at: nameSize, of: UInt32.self))
    }

    private static func ask(_ socket: Int32, _ question: UInt, _ request: [UInt8]) throws(Errno) -> [UInt8] {
        var bytes = request + [UInt8](repeating: 0, count: requestSize - request.count)
        let result = unsafe bytes.withUnsafeMutableBytes { buffer in
            // The address is used by one call within the closure that lends the memory.
            outcome(of: Int(SYS_ioctl), UInt(signed: socket), question, UInt(bitPattern: buffer.baseAddress))
        }
        _ = try result.get()
        return bytes
    }

    /// getsockopt(2) of an option that is a question: what is asked about stands in the bytes that the answer takes.
    public static func answer(
        of socket: Int32, _ option: Int32, level: Int32, to question: [UInt8]
    ) throws(Errno) -> [UInt8] {
        var bytes = question
        var length = UInt32(bytes.count)
        let result = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe withUnsafeMutablePointer(to: &length) { length in
                // Both addresses are used by one call, within the closures that lend the memory.
                outcome(
                    of: Int(SYS_getsockopt), UInt(signed: socket), UInt(signed: level), UInt(signed: option),
                    UInt(bitPattern: buffer.baseAddress), UInt(bitPattern: length))
            }
        }
        _ = try result.get()
        return Array(bytes.prefix(Int(length)))
    }

    /// Who may have sockets of ICMP (net.ipv4.ping_group_range, icmp(7)): groups from one to another; nil for none.
    public static func pingGroups() -> ClosedRange<UInt32>? {
        guard let file = try? Files.open("/proc/sys/net/ipv4/ping_group_range", []),
            let bytes = try? Files.readAll(file.raw)
        else { return nil }
        let numbers = String(decoding: bytes, as: UTF8.self).split { !$0.isNumber }.compactMap { UInt32($0) }
        return numbers.count == 2 && numbers[0] <= numbers[1] ? numbers[0]...numbers[1] : nil
    }
}
