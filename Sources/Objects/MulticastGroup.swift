internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// A group whose datagrams a socket receives (ip(7) IP_ADD_MEMBERSHIP, RFC 3678).
///
/// The kernel lists the groups of its devices (`/proc/net/igmp`, `igmp6`), but for no socket; what a socket says of a
/// certain group can be asked for (MCAST_MSFILTER). So each socket is asked about each group of the host.
struct MulticastGroup: Hashable, Sendable {
    /// The name of the network device.
    var interface: String
    /// 4 or 16 bytes.
    var address: [UInt8]
    /// Whether it takes what comes from `sources` alone; else what comes from all but them.
    var includes = false
    var sources: [[UInt8]] = []

    private static let (ip, ipv6): (Int32, Int32) = (0, 41)
    private static let (joinGroup, sourceFilter): (Int32, Int32) = (42, 48)
    /// struct group_filter: interface, group, mode, count; each address takes 128 bytes and is aligned to 8.
    private static let (head, room): (Int, Int) = (144, 128)

    init(interface: String, address: [UInt8]) {
        self.interface = interface
        self.address = address
    }

    private var level: Int32 { address.count == 4 ? Self.ip : Self.ipv6 }

    /// struct sockaddr_storage with a port of 0.
    private static func storage(_ address: [UInt8]) -> [UInt8] {
        var own = InetAddress(isSix: address.count == 16)
        own.bytes = address
        return own.encoded + [UInt8](repeating: 0, count: room - own.encoded.count)
    }

    private func filter(on interface: Int32, count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: interface)
        bytes += [0, 0, 0, 0] + Self.storage(address)
        bytes.append(littleEndian: UInt32(includes ? 1 : 0))
        bytes.append(littleEndian: UInt32(count))
        return bytes
    }

    // MARK: The dump

    /// The groups that a socket is a member of.
    static func memberships(of socket: Int32, isSix: Bool) throws(Errno) -> [MulticastGroup] {
        var found: [MulticastGroup] = []
        for (number, group) in candidates(isSix: false) + (isSix ? candidates(isSix: true) : []) {
            if let membership = try group.membership(of: socket, on: number) { found.append(membership) }
        }
        return found
    }

    /// Asks a socket whether it is a member.
    private func membership(of socket: Int32, on interface: Int32) throws(Errno) -> MulticastGroup? {
        var count = 16
        while true {
            let question = filter(on: interface, count: count) + [UInt8](repeating: 0, count: count * Self.room)
            let answer: [UInt8]
            do throws(Errno) {
                answer = try Sockets.answer(of: socket, Self.sourceFilter, level: level, to: question)
            } catch {
                // EADDRNOTAVAIL, and EINVAL of IPv6: no member. ENOPROTOOPT: a kind of socket that cannot be one.
                if [.addressNotAvailable, .invalidArgument, .protocolNotAvailable].contains(error) { return nil }
                throw error
            }
            guard answer.count >= Self.head else { throw .badMessage }
            let there = Int(answer.littleEndian(UInt32.self, at: 140))
            guard there <= count else {
                count = there
                continue
            }
            var found = self
            found.includes = answer.littleEndian(UInt32.self, at: 136) == 1
            let start = address.count == 4 ? 4 : 8
            found.sources = (0..<there).compactMap { index in
                let place = Self.head + index * Self.room + start
                return place + address.count <= answer.count ? Array(answer[place..<place + address.count]) : nil
            }
            return found
        }
    }

    /// The groups that the devices of the host listen to, with the number of the device.
    private static func candidates(isSix: Bool) -> [(Int32, MulticastGroup)] {
        guard let file = try? Files.open(isSix ? "/proc/net/igmp6" : "/proc/net/igmp", []),
            let bytes = try? Files.readAll(file.raw)
        else { return [] }
        let text = String(decoding: bytes, as: UTF8.self)
        return isSix ? parseSix(text) : parse(text)
    }

    /// Lines `number name : ...`, and behind each, indented, those of its groups, whose bytes are in the order of memory.
    static func parse(_ text: String) -> [(Int32, MulticastGroup)] {
        var found: [(Int32, MulticastGroup)] = []
        var device: (Int32, String)?
        for line in text.split(separator: "\n").dropFirst() {
            let words = line.split { $0 == " " || $0 == "\t" || $0 == ":" }
            guard let first = words.first else { continue }
            if line.first == "\t" || line.first == " " {
                guard let device, let word = UInt32(first, radix: 16) else { continue }
                let address = (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) }
                found.append((device.0, MulticastGroup(interface: device.1, address: address)))
            } else {
                device = words.count > 1 ? Int32(first).map { ($0, String(words[1])) } : nil
            }
        }
        return found
    }

    /// Lines `number name group ...`, the group as 32 hexadecimal digits.
    static func parseSix(_ text: String) -> [(Int32, MulticastGroup)] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 3, let number = Int32(words[0]),
                let address = Hexadecimal.bytes(String(words[2])),
                address.count == 16
            else { return nil }
            return (number, MulticastGroup(interface: String(words[1]), address: address))
        }
    }

    // MARK: The restore

    /// Makes a socket a member.
    ///
    /// - Throws: ENODEV where this host has no such device.
    func join(_ socket: Int32) throws(Errno) {
        let number = try Sockets.number(ofInterface: interface, socket)
        var request: [UInt8] = []
        request.append(littleEndian: number)
        request += [0, 0, 0, 0] + Self.storage(address)
        try Sockets.set(socket, Self.joinGroup, level: level, to: request)
        if !includes && sources.isEmpty { return }
        let filter = filter(on: number, count: sources.count) + sources.flatMap(Self.storage)
        try Sockets.set(socket, Self.sourceFilter, level: level, to: filter)
    }

    // MARK: As JSON

    var json: JSON {
        var members: [JSON.Member] = [
            .init("interface", .string(interface)), .init("address", .string(Hexadecimal.text(address))),
        ]
        if includes { members.append(.init("includes", .bool(true))) }
        if !sources.isEmpty {
            members.append(.init("sources", .array(sources.map { .string(Hexadecimal.text($0)) })))
        }
        return .object(members)
    }

    /// - Returns: nil where it is not of this form.
    init?(_ json: JSON) {
        guard case .string(let interface)? = json["interface"], Sockets.isInterfaceName(interface),
            let address = Self.address(json["address"]), [4, 16].contains(address.count)
        else { return nil }
        self.init(interface: interface, address: address)
        includes = json["includes"] == .bool(true)
        guard let list = json["sources"] else { return }
        guard case .array(let texts) = list, texts.count <= 4096 else { return nil }
        sources = texts.compactMap(Self.address)
        guard sources.count == texts.count, sources.allSatisfy({ $0.count == address.count }) else { return nil }
    }

    private static func address(_ json: JSON?) -> [UInt8]? {
        guard case .string(let text)? = json else { return nil }
        return Hexadecimal.bytes(text)
    }
}
