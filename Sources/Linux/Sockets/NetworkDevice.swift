internal import CLinux
public import SystemPackage

/// A network device of the namespace that Apus is in: how it is set up, and its addresses and routes, so that one like it
/// can be made.
public struct NetworkDevice: Sendable, Equatable {
    /// Its number.
    public var index: Int32
    /// ARPHRD_*.
    public var type: UInt16
    /// IFF_* of netdevice(7).
    public var flags: UInt32
    /// The most bytes in a packet, and packets in its queue.
    public var mtu, queueLength: UInt32
    public var group: UInt32
    /// Of hardware; empty where the type has none.
    public var address: [UInt8]
    public var alias: [UInt8]
    /// How it comes to its own IPv6 address (IN6_ADDR_GEN_MODE_*); nil without IPv6.
    public var generation: UInt8?
    /// Messages of rtnetlink(7), as the kernel gives them and takes them.
    public var addresses, routes: [[UInt8]]
    /// Routes that lead over this device and others as well, over an object that several have (ip-nexthop(8)), or that wrap packets up
    /// (RTA_ENCAP).
    public var sharedRoutes = 0

    /// IFF_UP, and IFF_NOARP, IFF_PROMISC, IFF_ALLMULTI, IFF_MULTICAST.
    private static let (up, settable): (UInt32, UInt32) = (0x1, 0x80 | 0x100 | 0x200 | 0x1000)
    public var isUp: Bool { flags & Self.up != 0 }

    public init(
        index: Int32, type: UInt16, flags: UInt32, mtu: UInt32, queueLength: UInt32, group: UInt32, address: [UInt8],
        alias: [UInt8], generation: UInt8?, addresses: [[UInt8]], routes: [[UInt8]]
    ) {
        (self.index, self.type, self.flags) = (index, type, flags)
        (self.mtu, self.queueLength, self.group) = (mtu, queueLength, group)
        (self.address, self.alias, self.generation) = (address, alias, generation)
        (self.addresses, self.routes) = (addresses, routes)
    }

    /// Whether its addresses and routes are of this device alone, and such as are taken from a kernel: what comes from images is not
    /// to set up anything else.
    public var isSound: Bool {
        addresses.allSatisfy { $0.count >= InterfaceAddress.headSize && InterfaceAddress.index(of: $0) == index }
            && routes.allSatisfy { InterfaceRoute($0).way(over: index) == .alone }
    }

    // MARK: Reading

    /// IFLA_*.
    private enum Attribute {
        static let (address, name, mtu, queueLength): (UInt16, UInt16, UInt16, UInt16) = (1, 3, 4, 13)
        static let (alias, families, group): (UInt16, UInt16, UInt16) = (20, 26, 27)
        /// IFLA_INET6_ADDR_GEN_MODE, within AF_INET6 within the families.
        static let (inet6, generation): (UInt16, UInt16) = (10, 8)
    }

    /// struct ifinfomsg.
    private static let headSize = 16

    /// How a device is set up now.
    ///
    /// - Throws: ENODEV where there is none of that name.
    public init(named name: [UInt8]) throws(Errno) {
        var question = [UInt8](repeating: 0, count: Self.headSize)
        question.append(attribute: Attribute.name, name + [0])
        let told = try RouteNetlink.one(.getLink, question)[...]
        guard told.count >= Self.headSize else { throw .badMessage }
        self.init(
            index: Int32(bitPattern: told.integer(at: 4, of: UInt32.self)), type: told.integer(at: 2, of: UInt16.self),
            flags: told.integer(at: 8, of: UInt32.self), mtu: 0, queueLength: 0, group: 0, address: [], alias: [],
            generation: nil, addresses: [], routes: [])
        NetlinkAttributes.each(in: told.dropFirst(Self.headSize)) { type, value in
            switch type {
            case Attribute.address: address = Array(value)
            case Attribute.mtu: mtu = value.integer(at: 0, of: UInt32.self)
            case Attribute.queueLength: queueLength = value.integer(at: 0, of: UInt32.self)
            case Attribute.group: group = value.integer(at: 0, of: UInt32.self)
            case Attribute.alias: alias = Array(value.prefix { $0 != 0 })
            case Attribute.families:
                NetlinkAttributes.each(in: value) { family, value in
                    if family != Attribute.inet6 { return }
                    NetlinkAttributes.each(in: value) { if $0 == Attribute.generation { generation = $1.first } }
                }
            default: break
            }
        }
        let own = index
        addresses = try RouteNetlink.all(.getAddress, [UInt8](repeating: 0, count: InterfaceAddress.headSize))
            .filter { InterfaceAddress.index(of: $0) == own }
        for family: UInt8 in [2, 10] {
            var question = [UInt8](repeating: 0, count: InterfaceRoute.headSize)
            question[0] = family
            for route in try RouteNetlink.all(.getRoute, question) {
                switch InterfaceRoute(route).way(over: index) {
                case .alone: routes.append(route)
                case .among: sharedRoutes += 1
                case .not: break
                }
            }
        }
    }

    // MARK: Making it so

    /// Sets a device up like this one: everything but its routes.
    ///
    /// - Parameter index: its number.
    public func apply(to index: Int32) throws(Errno) {
        let none: UInt8 = 1  // IN6_ADDR_GEN_MODE_NONE
        var body = head(index, change: Self.settable)
        if !address.isEmpty { body.append(attribute: Attribute.address, address) }
        for (attribute, value) in [
            (Attribute.mtu, mtu), (Attribute.queueLength, queueLength), (Attribute.group, group),
        ] { body.append(attribute: attribute, littleEndian(value)) }
        if !alias.isEmpty { body.append(attribute: Attribute.alias, alias) }
        try RouteNetlink.order(.newLink, body, makes: false)
        // It has its addresses from the images: it is not to think out any itself.
        if generation != nil { try setGeneration(none, of: index) }
        for address in addresses {
            do throws(Errno) {
                try RouteNetlink.order(.newAddress, InterfaceAddress.message(address, over: index), makes: true)
            } catch {
                // An address of IPv6 can come with one of IPv4 (sit), or the host gives every device one.
                if error != .fileExists { throw error }
            }
        }
        if isUp { try RouteNetlink.order(.newLink, head(index, change: Self.up), makes: false) }
        if let generation { try setGeneration(generation, of: index) }
    }

    /// Gives a device the routes of this one. Some need others to be there first.
    ///
    /// - Returns: how many cannot be made on this host, and why the last of them.
    public func addRoutes(to index: Int32) -> (missing: Int, error: Errno?) {
        var left = routes
        while true {
            var refused: [[UInt8]] = []
            var last: Errno?
            for route in left {
                do throws(Errno) {
                    try RouteNetlink.order(.newRoute, InterfaceRoute(route).message(over: index), makes: true)
                } catch {
                    if error == .fileExists { continue }
                    refused.append(route)
                    last = error
                }
            }
            if refused.isEmpty || refused.count == left.count { return (refused.count, last) }
            left = refused
        }
    }

    private func head(_ index: Int32, change: UInt32) -> [UInt8] {
        var bytes: [UInt8] = [0, 0, 0, 0]
        bytes.append(integer: UInt32(bitPattern: index))
        bytes.append(integer: flags & change)
        bytes.append(integer: change)
        return bytes
    }

    private func setGeneration(_ mode: UInt8, of index: Int32) throws(Errno) {
        var (family, families, body) = ([UInt8](), [UInt8](), head(index, change: 0))
        family.append(attribute: Attribute.generation, [mode])
        families.append(attribute: Attribute.inet6, family)
        body.append(attribute: Attribute.families, families)
        try RouteNetlink.order(.newLink, body, makes: false)
    }

    private func littleEndian(_ value: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(integer: value)
        return bytes
    }
}

/// An address of a device in rtnetlink(7): struct ifaddrmsg and attributes.
enum InterfaceAddress {
    static let headSize = 8
    /// IFA_FLAGS; IFA_F_NODAD, and IFA_F_TENTATIVE, IFA_F_DADFAILED, which only the kernel sets.
    private static let (flags, known, untried): (UInt16, UInt32, UInt32) = (8, 0x2, 0x40 | 0x8)
    private static let inet6: UInt8 = 10
    /// IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_ANYCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO.
    private static let carried: Set<UInt16> = [1, 2, 3, 4, 5, 6, 8, 9, 11]

    static func index(of message: [UInt8]) -> Int32 { Int32(bitPattern: message[...].integer(at: 4, of: UInt32.self)) }

    /// The same for another device. Nobody is asked whether he has an address of IPv6 already: it was in use.
    static func message(_ told: [UInt8], over index: Int32) -> [UInt8] {
        let isNewer = told.first == inet6
        var bytes = Array(told.prefix(4))
        if isNewer { bytes[2] = bytes[2] | UInt8(known) & ~UInt8(untried) }
        bytes.append(integer: UInt32(bitPattern: index))
        NetlinkAttributes.each(in: told.dropFirst(headSize)) { type, value in
            guard carried.contains(type) else { return }
            var value = Array(value)
            if type == flags, isNewer {
                let found = value[...].integer(at: 0, of: UInt32.self)
                value = []
                value.append(integer: (found | known) & ~untried)
            }
            bytes.append(attribute: type, value)
        }
        return bytes
    }
}

/// A route in rtnetlink(7): struct rtmsg and attributes.
private struct InterfaceRoute {
    static let headSize = 12
    /// RTA_OIF, RTA_MULTIPATH, RTA_CACHEINFO.
    private static let (device, several, cache): (UInt16, UInt16, UInt16) = (4, 9, 12)
    /// RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS, RTA_FLOW, RTA_CACHEINFO, RTA_TABLE,
    /// RTA_VIA, RTA_PREF, RTA_EXPIRES.
    private static let carried: Set<UInt16> = [1, 2, 4, 5, 6, 7, 8, 11, 12, 15, 18, 20, 23]
    /// RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_RA: routes that come of themselves.
    private static let ofThemselves: Set<UInt8> = [1, 2, 9]
    /// RTM_F_CLONED; RTNH_F_ONLINK, which alone can be asked for.
    private static let (cloned, onLink): (UInt32, UInt32) = (0x200, 0x4)

    enum Way { case alone, among, not }

    private let told: [UInt8]

    init(_ told: [UInt8]) { self.told = told }

    func way(over index: Int32) -> Way {
        guard told.count >= Self.headSize, !Self.ofThemselves.contains(told[5]), flags & Self.cloned == 0 else {
            return .not
        }
        let wanted = UInt32(bitPattern: index)
        var (leads, isShared) = (false, false)
        NetlinkAttributes.each(in: told.dropFirst(Self.headSize)) { type, value in
            if type == Self.device, value.integer(at: 0, of: UInt32.self) == wanted { leads = true }
            if !Self.carried.contains(type) { isShared = true }
            if type == Self.several {
                // Several struct rtnexthop: the length, two bytes, the device.
                var rest = value
                while rest.count >= 8, case let length = Int(rest.integer(at: 0, of: UInt16.self)), length >= 8 {
                    if rest.integer(at: 4, of: UInt32.self) == wanted { (leads, isShared) = (true, true) }
                    rest = rest.dropFirst((length + 3) & ~3)
                }
            }
        }
        return leads ? (isShared ? .among : .alone) : .not
    }

    private var flags: UInt32 { told[...].integer(at: 8, of: UInt32.self) }

    /// The same over another device.
    func message(over index: Int32) -> [UInt8] {
        var bytes = Array(told.prefix(8))
        bytes.append(integer: flags & Self.onLink)
        NetlinkAttributes.each(in: told.dropFirst(Self.headSize)) { type, value in
            var value = Array(value)
            if type == Self.cache { return }
            if type == Self.device {
                value = []
                value.append(integer: UInt32(bitPattern: index))
            }
            bytes.append(attribute: type, value)
        }
        return bytes
    }
}

extension [UInt8] {
    /// Appends an attribute of netlink.
    fileprivate mutating func append(attribute type: UInt16, _ value: [UInt8]) {
        self += NetlinkAttributes.bytes(type, value)
    }
}
