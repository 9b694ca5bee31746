internal import CLinux
public import SystemPackage

/// A tunnel device, whose other side is a program: "Documentation/networking/tuntap.rst" of the kernel.
public enum TunnelDevice {
    /// IFF_* of linux/if_tun.h.
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        public static let tun = Flags(rawValue: 0x0001)
        public static let tap = Flags(rawValue: 0x0002)
        public static let multiQueue = Flags(rawValue: 0x0100)
        /// The queue is attached and takes no part.
        public static let detached = Flags(rawValue: 0x0400)
        /// The device stays when its last descriptor is closed.
        public static let persistent = Flags(rawValue: 0x0800)
        /// What TUNSETIFF takes: tun, tap, napi, napi-frags, no-carrier; one-queue, no-packet-information, header of virtio.
        static let settable = Flags(rawValue: 0xf073).union(.multiQueue)
    }

    private static let (attach, getDevice, getRoom, setRoom): (UInt, UInt, UInt, UInt) = (
        0x4004_54ca, 0x8004_54d2, 0x8004_54d3, 0x4004_54d4  // TUNSETIFF, TUNGETIFF, TUNGETSNDBUF, TUNSETSNDBUF
    )
    /// TUNGETVNETHDRSZ, TUNSETVNETHDRSZ.
    private static let (getHeader, setHeader): (UInt, UInt) = (0x8004_54d7, 0x4004_54d8)
    /// TUNSETOWNER, TUNSETGROUP, TUNSETLINK, TUNSETIFINDEX, TUNSETOFFLOAD.
    private static let (setOwner, setGroup, setType, setIndex, setOffload): (UInt, UInt, UInt, UInt, UInt) = (
        0x4004_54cc, 0x4004_54ce, 0x4004_54cd, 0x4004_54da, 0x4004_54d0
    )
    private static let nameSize = 16

    /// Which device a descriptor of `/dev/net/tun` is attached to.
    ///
    /// - Throws: EBADFD where it is attached to none.
    public static func device(of descriptor: Int32) throws(Errno) -> (name: [UInt8], flags: Flags) {
        // struct ifreq: the name, and a union of 24 bytes.
        let request = try bytes(filledBy: 40) {
            outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), getDevice, $0).map { _ in 40 }
        }
        let flags = UInt16(request[nameSize]) | UInt16(request[nameSize + 1]) << 8
        return (Array(request.prefix(nameSize).prefix { $0 != 0 }), Flags(rawValue: flags))
    }

    /// The flags of a device of this host; nil where there is none of that name, or it is no tunnel.
    public static func flags(ofDevice name: [UInt8]) -> Flags? {
        guard !name.isEmpty, name.count < nameSize, !name.contains(UInt8(ascii: "/")),
            let text = try? Files.contents(
                of: FilePath(bytes: Array("/sys/class/net/".utf8) + name).appending("tun_flags"))
        else { return nil }
        let digits = String(decoding: text, as: UTF8.self).split { !$0.isHexDigit && $0 != "x" }.first ?? ""
        return UInt16(digits.dropFirst(2), radix: 16).map { Flags(rawValue: $0) }
    }

    /// Attaches a descriptor of `/dev/net/tun` to a device. One that is not there is made.
    ///
    /// - Throws: EBUSY where another has it; EINVAL where it is of another kind.
    public static func attach(_ descriptor: Int32, to name: [UInt8], _ flags: Flags) throws(Errno) {
        guard !name.isEmpty, name.count < nameSize else { throw .invalidArgument }
        let wanted = flags.intersection(.settable).rawValue
        var request = name + [UInt8](repeating: 0, count: 40 - name.count)
        request[nameSize] = UInt8(wanted & 0xff)
        request[nameSize + 1] = UInt8(wanted >> 8)
        _ = try withAddress(ofBytes: request) { address, _ in
            outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), Self.attach, address)
        }.get()
    }

    /// How many bytes may be on their way from the descriptor (TUNGETSNDBUF), and how long the header of virtio is.
    public static func sizes(of descriptor: Int32) throws(Errno) -> (room: Int32, header: Int32) {
        func get(_ request: UInt) throws(Errno) -> Int32 {
            var value: Int32 = 0
            _ = try withAddress(of: &value) { outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), request, $0) }
            return value
        }
        return (try get(getRoom), try get(getHeader))
    }

    /// Sets what ``sizes(of:)`` tells.
    public static func setSizes(of descriptor: Int32, room: Int32, header: Int32) throws(Errno) {
        for (request, value) in [(setRoom, room), (setHeader, header)] {
            var value = value
            _ = try withAddress(of: &value) { outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), request, $0) }
        }
    }

    // MARK: Devices that end with their program

    /// Who may attach to a device beside root (`/sys/class/net/NAME/owner`, `group`); nil for nobody in particular.
    public static func owners(ofDevice name: [UInt8]) -> (user: UInt32?, group: UInt32?) {
        let directory = FilePath(bytes: Array("/sys/class/net/".utf8) + name)
        func number(_ file: String) -> UInt32? {
            let text = (try? Files.contents(of: directory.appending(file))) ?? []
            return UInt32(String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
        }
        return (number("owner"), number("group"))
    }

    /// Settings that the kernel gives a tunnel by itself.
    private static let ofTheType: Set<String> = ["accept_dad", "addr_gen_mode", "mtu", "use_tempaddr"]

    /// What is not what it is in a new device of the same host, of the settings in `/proc/sys/net/*/conf/NAME`.
    public static func changedSettings(ofDevice name: [UInt8]) -> [String] {
        let shown = String(decoding: name, as: UTF8.self)
        return ["ipv4", "ipv6"].flatMap { family -> [String] in
            let all = FilePath("/proc/sys/net/\(family)/conf")
            let names = ((try? Files.entries(of: all.appending("default"))) ?? [])
                .map { String(decoding: $0.name, as: UTF8.self) }.sorted()
            return names.filter { setting in
                if ofTheType.contains(setting) { return false }
                guard let own = try? Files.contents(of: all.appending(shown).appending(setting)),
                    let usual = try? Files.contents(of: all.appending("default").appending(setting))
                else { return false }
                return own != usual
            }.map { "net.\(family).conf.\(shown).\($0)" }
        }
    }

    /// Has the device that a descriptor will make get a number.
    public static func choose(index: Int32, for descriptor: Int32) throws(Errno) {
        var value = index
        _ = try withAddress(of: &value) { outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), setIndex, $0) }
    }

    /// Sets who may attach to the device beside root.
    public static func setOwners(of descriptor: Int32, user: UInt32?, group: UInt32?) throws(Errno) {
        if let user { try call(Int(SYS_ioctl), UInt(signed: descriptor), setOwner, UInt(user)) }
        if let group { try call(Int(SYS_ioctl), UInt(signed: descriptor), setGroup, UInt(group)) }
    }

    /// Sets of which type (ARPHRD_*) the device is said to be, as long as it is not up.
    public static func setType(of descriptor: Int32, _ type: UInt16) throws(Errno) {
        try call(Int(SYS_ioctl), UInt(signed: descriptor), setType, UInt(type))
    }

    /// What the program takes off the kernel's hands: checksums (TUN_F_CSUM), and the cutting of TCP's streams into packets (TUN_F_TSO4, TUN_F_TSO6).
    public struct Offload: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let checksums = Offload(rawValue: 0x1)
        public static let segmentation = Offload(rawValue: 0x2 | 0x4)
    }

    /// As ethtool(8) shows it: ETHTOOL_GTXCSUM, ETHTOOL_GTSO.
    public static func offload(ofDevice name: [UInt8]) throws(Errno) -> Offload {
        let socket = try Sockets.make(2, 2)
        var found: Offload = []
        for (question, offload) in [(UInt32(0x16), Offload.checksums), (0x1e, .segmentation)] {
            // struct ethtool_value: the question, the answer.
            var value = UInt64(question)
            let result = unsafe withUnsafeMutablePointer(to: &value) { pointer in
                // struct ifreq: the name, and the address of the value, which is used by one call within the closure.
                var request = name + [UInt8](repeating: 0, count: nameSize - name.count)
                request.append(integer: UInt(bitPattern: pointer))
                request += [UInt8](repeating: 0, count: 40 - request.count)
                return withAddress(ofBytes: request) { address, _ in
                    outcome(of: Int(SYS_ioctl), UInt(signed: socket.raw), 0x8946, address)  // SIOCETHTOOL
                }
            }
            _ = try result.get()
            if value >> 32 != 0 { found.formUnion(offload) }
        }
        return found
    }

    public static func setOffload(of descriptor: Int32, _ offload: Offload) throws(Errno) {
        try call(Int(SYS_ioctl), UInt(signed: descriptor), setOffload, UInt(offload.rawValue))
    }
}
