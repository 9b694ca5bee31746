internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A tunnel device that ends with its program, as the supplement tells it: what a restore makes it of.
struct TunnelImage: Sendable, Equatable {
    let device: NetworkDevice
    let user, group: UInt32?
    let offload: TunnelDevice.Offload

    init(ofDevice name: [UInt8]) throws(Errno) {
        device = try NetworkDevice(named: name)
        (user, group) = TunnelDevice.owners(ofDevice: name)
        offload = try TunnelDevice.offload(ofDevice: name)
    }

    /// What of it will be missing after a restore, in words.
    func losses(_ name: [UInt8]) -> [String] {
        let shown = String(decoding: name, as: UTF8.self)
        var found: [String] = []
        if device.sharedRoutes > 0 {
            found.append(
                "\(device.sharedRoutes) routes over the tunnel device \(shown) are not carried: they lead over others as well, or wrap packets up"
            )
        }
        let settings = TunnelDevice.changedSettings(ofDevice: name)
        if !settings.isEmpty {
            found.append(
                "settings of the tunnel device \(shown) are not carried (sysctl): \(settings.joined(separator: ", "))")
        }
        return found
    }

    // MARK: Supplement

    var json: JSON {
        func bytes(_ value: [UInt8]) -> JSON { .string(Hexadecimal.text(value)) }
        var members: [JSON.Member] = [
            .init("index", .number(device.index)), .init("type", .number(device.type)),
            .init("flags", .number(device.flags)), .init("mtu", .number(device.mtu)),
            .init("queue", .number(device.queueLength)), .init("group", .number(device.group)),
            .init("address", bytes(device.address)), .init("alias", bytes(device.alias)),
            .init("addresses", .array(device.addresses.map(bytes))), .init("routes", .array(device.routes.map(bytes))),
            .init("offload", .number(offload.rawValue)),
        ]
        if let generation = device.generation { members.append(.init("generation", .number(generation))) }
        if let user { members.append(.init("user", .number(user))) }
        if let group { members.append(.init("users", .number(group))) }
        return .object(members)
    }

    /// - Returns: nil for what no kernel can have had.
    init?(_ told: JSON) {
        func number<Value: FixedWidthInteger>(_ name: String) -> Value? {
            told[name]?.bits.flatMap { Value(exactly: $0) }
        }
        func bytes(_ name: String) -> [UInt8]? { told[name]?.string.flatMap(Hexadecimal.bytes) }
        func messages(_ name: String) -> [[UInt8]]? {
            guard let elements = told[name]?.elements else { return nil }
            let found = elements.compactMap { $0.string.flatMap(Hexadecimal.bytes) }
            // The greatest message that netlink has.
            return found.count == elements.count && found.allSatisfy { $0.count < 1 << 15 } ? found : nil
        }
        guard let index: Int32 = number("index"), index > 0, let type: UInt16 = number("type"),
            let flags: UInt32 = number("flags"), let mtu: UInt32 = number("mtu"),
            let queue: UInt32 = number("queue"), let ofDevices: UInt32 = number("group"),
            let address = bytes("address"), address.count <= 32, let alias = bytes("alias"), alias.count < 256,
            let addresses = messages("addresses"), let routes = messages("routes"),
            let offload: UInt32 = number("offload")
        else { return nil }
        device = NetworkDevice(
            index: index, type: type, flags: flags, mtu: mtu, queueLength: queue, group: ofDevices, address: address,
            alias: alias, generation: number("generation"), addresses: addresses, routes: routes)
        (user, group) = (number("user"), number("users"))
        self.offload = .init(rawValue: offload)
        if !device.isSound { return nil }
    }

    // MARK: Restore

    /// Makes the device, attached to a descriptor of `/dev/net/tun`.
    ///
    /// - Returns: what it has to do without on this host, in words.
    func make(_ name: [UInt8], _ flags: TunnelDevice.Flags, through descriptor: Int32) throws(Errno) -> [String] {
        let shown = String(decoding: name, as: UTF8.self)
        var losses: [String] = []
        let socket = try Sockets.make(2, 2)
        if (try? Sockets.interface(numbered: device.index, socket.raw)) == nil {
            try TunnelDevice.choose(index: device.index, for: descriptor)
        } else {
            losses.append(
                "the tunnel device \(shown) has another number than \(device.index), which is taken on this host")
        }
        try TunnelDevice.attach(descriptor, to: name, flags)
        let index = try Sockets.number(ofInterface: shown, socket.raw)
        try TunnelDevice.setOwners(of: descriptor, user: user, group: group)
        if try NetworkDevice(named: name).type != device.type { try TunnelDevice.setType(of: descriptor, device.type) }
        try TunnelDevice.setOffload(of: descriptor, offload)
        try device.apply(to: index)
        let (missing, error) = device.addRoutes(to: index)
        if missing > 0, let error {
            losses.append("\(missing) routes over the tunnel device \(shown) cannot be made on this host: \(error)")
        }
        return losses
    }
}
