internal import Glibc
public import SystemPackage

/// An address of IP that a network device has or is to have (rtnetlink(7)).
public struct DeviceAddress: Sendable, Hashable, CustomStringConvertible {
    /// 4 or 16 bytes, in network order.
    public let bytes: [UInt8]
    /// How many bits of it are those of the network.
    public var length: UInt8
    /// That of all hosts of the network, for IPv4; empty where there is none.
    public var broadcast: [UInt8] = []
    /// No route to the network comes with it (IFA_F_NOPREFIXROUTE).
    public var isAlone = false

    public init(_ bytes: [UInt8], length: UInt8) {
        self.bytes = bytes
        self.length = length
    }

    private var family: UInt8 { UInt8(bytes.count == 16 ? Sockets.inet6 : Sockets.inet) }

    /// The bytes of an address as text has them; nil for what is none.
    public static func parse(_ text: String) -> [UInt8]? {
        for (family, size) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: size)
            // unsafe: the memory is lent for the call alone.
            let result = unsafe bytes.withUnsafeMutableBytes { unsafe inet_pton(family, text, $0.baseAddress) }
            if result == 1 { return bytes }
        }
        return nil
    }

    /// The address without the length of its network.
    public var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        // unsafe: both are lent for the call alone, and the text has room for any address.
        let isDone = unsafe bytes.withUnsafeBytes { address in
            unsafe inet_ntop(Int32(family), address.baseAddress, &text, socklen_t(text.count)) != nil
        }
        return isDone ? String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : "?"
    }

    // MARK: Messages

    /// IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS.
    private enum Attribute {
        static let (address, local, broadcast, lifetime, flags): (UInt16, UInt16, UInt16, UInt16, UInt16) = (
            1, 2, 4, 6, 8
        )
    }
    /// IFA_F_NODAD, IFA_F_NOPREFIXROUTE.
    private static let (untried, noRoute): (UInt32, UInt32) = (0x2, 0x200)

    /// From what the kernel tells of an address; nil for what cannot be understood.
    init?(told: [UInt8]) {
        guard told.count >= InterfaceAddress.headSize else { return nil }
        var (own, other, broadcast): ([UInt8], [UInt8], [UInt8]) = ([], [], [])
        var flags = UInt32(told[2])
        NetlinkAttributes.each(in: told.dropFirst(InterfaceAddress.headSize)) { type, value in
            switch type {
            case Attribute.address: other = Array(value)
            case Attribute.local: own = Array(value)
            case Attribute.broadcast: broadcast = Array(value)
            case Attribute.flags where value.count >= 4: flags = value.integer(at: 0, of: UInt32.self)
            default: break
            }
        }
        // Of IPv6 there is the one alone, unless the other end of the link has an address too.
        if own.isEmpty { own = other }
        guard own.count == 4 || own.count == 16 else { return nil }
        bytes = own
        length = told[1]
        self.broadcast = broadcast
        isAlone = flags & Self.noRoute != 0
    }

    private func message(on device: Int32, flags: UInt32) -> [UInt8] {
        // The last byte is the scope: everywhere.
        var body: [UInt8] = [family, length, UInt8(truncatingIfNeeded: flags), 0]
        body.append(integer: UInt32(bitPattern: device))
        body += NetlinkAttributes.bytes(Attribute.local, bytes) + NetlinkAttributes.bytes(Attribute.address, bytes)
        return body
    }

    /// Puts it on a device, or changes how long it stays there. Whether another host has it is not asked (duplicate address
    /// detection): it is used at once.
    ///
    /// - Parameters:
    ///   - device: the number of the device.
    ///   - seconds: for how long; then the kernel takes it away by itself, and nobody chooses it meanwhile who does not ask
    ///     for it. Nil for ever.
    public func put(on device: Int32, for seconds: UInt32?) throws(Errno) {
        let flags = Self.untried | (isAlone ? Self.noRoute : 0)
        var body = message(on: device, flags: bytes.count == 16 ? flags : flags & ~Self.untried)
        if !broadcast.isEmpty { body += NetlinkAttributes.bytes(Attribute.broadcast, broadcast) }
        var words: [UInt8] = []
        words.append(integer: bytes.count == 16 ? flags : flags & ~Self.untried)
        body += NetlinkAttributes.bytes(Attribute.flags, words)
        // struct ifa_cacheinfo: for how long it is chosen, and is there; when it came and changed.
        var lifetime: [UInt8] = []
        lifetime.append(integer: seconds == nil ? UInt32.max : 0)
        lifetime.append(integer: seconds ?? UInt32.max)
        body += NetlinkAttributes.bytes(Attribute.lifetime, lifetime + [UInt8](repeating: 0, count: 8))
        try RouteNetlink.order(.newAddress, body, makes: false, replaces: true)
    }

    /// Takes it from a device.
    ///
    /// - Throws: EADDRNOTAVAIL where it is not there.
    public func take(from device: Int32) throws(Errno) {
        try RouteNetlink.order(.deleteAddress, message(on: device, flags: 0), makes: false)
    }
}

extension NetworkDevice {
    /// An address that the device has; nil where it has not.
    public func address(_ bytes: [UInt8]) -> DeviceAddress? {
        addresses.lazy.compactMap { DeviceAddress(told: $0) }.first { $0.bytes == bytes }
    }

    /// Gives a device back what it has no more of the addresses and routes of this one: with an address the kernel takes away others
    /// of the same network, and routes.
    ///
    /// - Parameters:
    ///   - index: its number.
    ///   - left: addresses that it shall not have.
    /// - Returns: how many routes cannot be made.
    @discardableResult
    public func complete(_ index: Int32, but left: Set<[UInt8]> = []) throws(Errno) -> Int {
        for address in addresses {
            guard let bytes = DeviceAddress(told: address)?.bytes, !left.contains(bytes) else { continue }
            do throws(Errno) {
                try RouteNetlink.order(.newAddress, InterfaceAddress.message(address, over: index), makes: true)
            } catch {
                if error != .fileExists { throw error }
            }
        }
        return addRoutes(to: index).missing
    }

    /// The numbers of the devices that have an address.
    public static func holders(of bytes: [UInt8]) throws(Errno) -> [Int32] {
        try RouteNetlink.all(.getAddress, [UInt8](repeating: 0, count: InterfaceAddress.headSize))
            .filter { DeviceAddress(told: $0)?.bytes == bytes }.map { InterfaceAddress.index(of: $0) }
    }
}
