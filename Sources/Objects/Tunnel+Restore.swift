public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// The program's side of a tunnel device: of one that is there, or that is made by the first that attaches to it.
public struct TunnelQueue: Resource {
    private let file: NamedFile
    private let name: [UInt8]
    /// What the dump has seen; nil in images of CRIU.
    private let flags: TunnelDevice.Flags?
    private let sizes: (room: Int32, header: Int32)?
    /// The device, where it has ended with the original.
    private let ended: TunnelImage?

    /// - Throws: `object-unsupported` for what no kernel could have had.
    public init(_ entry: TunfileEntry, _ file: RegFileEntry, _ supplement: Supplement) throws(Problem) {
        self.file = NamedFile(file)
        name = Array(entry.netdev.utf8)
        let told = supplement[.tunnel, entry.id]
        func number(_ key: String) -> Int32? { told?[key]?.bits.map { Int32(truncatingIfNeeded: $0) } }
        flags = number("flags").map { TunnelDevice.Flags(rawValue: UInt16(truncatingIfNeeded: $0)) }
        if let room = number("room"), let header = number("header") { sizes = (room, header) } else { sizes = nil }
        ended = told?["device"].flatMap { TunnelImage($0) }
        if told?["device"] != nil && ended == nil {
            throw Problem(
                .objectUnsupported, "what the supplement says of tunnel \(entry.id) makes no sense",
                remedy: "Copy the images again, all of them")
        }
    }

    private var shownName: String { String(decoding: name, as: UTF8.self) }

    public var keys: [String] { file.keys }
    public var extraDescriptors: Int { 0 }
    /// Sockets may be bound to it.
    public var comesFirst: Bool { true }
    public var description: String {
        "\(file.description), attached to the tunnel device \(shownName)" + (ended == nil ? "" : ", which is made")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if site.inherited[file.key] != nil { return file.obstacles(at: site) }
        guard let there = TunnelDevice.flags(ofDevice: name) else {
            if ended != nil { return isTaken ? [taken] : file.obstacles(at: site) }
            return [
                Problem(
                    .fileMissing, "there is no tunnel device \(shownName) on this host",
                    remedy:
                        "Make it (ip tuntap add dev \(shownName) mode tun, or tap) with its addresses and routes, or give"
                        + " a descriptor in its place with --inherit-fd fd[N]:\(file.key)")
            ]
        }
        let kinds: TunnelDevice.Flags = [.tun, .tap]
        if let flags, flags.intersection(kinds) != there.intersection(kinds) {
            return [
                Problem(
                    .fileChanged, "the tunnel device \(shownName) of this host is of another mode (tun, tap)",
                    remedy: "Remove it (ip link delete \(shownName)) and make it as it was")
            ]
        }
        return file.obstacles(at: site)
    }

    /// Whether something else than a tunnel is called so.
    private var isTaken: Bool { (try? NetworkDevice(named: name)) != nil }

    private var taken: Problem {
        Problem(
            .fileChanged, "the network device \(shownName) of this host is no tunnel device",
            remedy: "Give it another name (ip link set \(shownName) name NAME), for as long as the program runs")
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        let descriptor = try file.open(at: site)
        if site.inherited[file.key] != nil { return descriptor }
        do throws(Errno) {
            let there = TunnelDevice.flags(ofDevice: name)
            if let ended, let flags, there == nil {
                site.lostRoutes += try ended.make(name, flags, through: descriptor.raw)
            } else {
                try TunnelDevice.attach(descriptor.raw, to: name, flags ?? there ?? [])
            }
            // To set the room of one queue sets that of all.
            if let sizes, try TunnelDevice.sizes(of: descriptor.raw) != sizes {
                try TunnelDevice.setSizes(of: descriptor.raw, room: sizes.room, header: sizes.header)
            }
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "the tunnel device \(shownName) cannot be attached to",
                cause: .init(error, attempted: "ioctl(TUNSETIFF)"),
                remedy: error == .resourceBusy
                    ? "Another program has it: end that one"
                    : "Look with `ip -d link show \(shownName)` how it is set up")
        }
    }
}
