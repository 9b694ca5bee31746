internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What the image format has no place for of sockets, in the section `socket` of the supplement, by the id of the
/// description: options that are not as a new socket has them, the order in which connections wait, and the names of
/// those who sent datagrams.
struct SocketSupplement: Equatable {
    /// Options of level SOL_SOCKET, by number.
    var options: [(option: Int32, value: Int32)] = []
    /// Options of IP, IPv6 and TCP, by level and number.
    var protocolOptions: [(level: Int32, option: Int32, value: Int32)] = []
    /// How congestion is met (TCP_CONGESTION), where it is not as usual.
    var congestionControl: String?
    /// The place in the queue of connections that wait to be accepted.
    var order: Int?
    /// The sender of each datagram that is queued, as the kernel gives the name; nothing where it has none.
    var senders: [[UInt8]] = []

    static func == (one: SocketSupplement, other: SocketSupplement) -> Bool {
        one.order == other.order && one.senders == other.senders && one.congestionControl == other.congestionControl
            && one.protocolOptions.elementsEqual(other.protocolOptions) { $0 == $1 }
            && one.options.elementsEqual(other.options) { $0.option == $1.option && $0.value == $1.value }
    }

    /// Options that are numbers, and that images have no field for (asm-generic/socket.h): debugging, timestamps and
    /// their newer forms, the count of what was dropped, the peek offset, error queue, busy polling, zero copy, and what
    /// else may be passed beside the data.
    private static let numbers: [Int32] = [1, 29, 35, 37, 40, 42, 45, 46, 60, 63, 64, 65, 69, 76, 83]

    init() {}

    /// Compares a socket with a new one of its kind.
    init(of socket: Int32, _ identity: SocketIdentity, _ defaults: SocketDefaults) throws(Errno) {
        for option in Self.numbers {
            // What this kernel does not know is not set.
            guard let usual = try defaults.number(option, level: Sockets.socketLevel, of: identity),
                let value = try? Sockets.number(of: socket, option), value != usual
            else { continue }
            options.append((option, value))
        }
        try addProtocolOptions(of: socket, identity, defaults)
    }

    func applyOptions(to socket: Int32) throws(Errno) {
        for (option, value) in options { try Sockets.set(socket, option, to: value) }
    }

    // MARK: As JSON

    var json: JSON? {
        var members: [JSON.Member] = []
        if !options.isEmpty {
            members.append(.init("options", .object(options.map { .init("\($0.option)", .integer(Int64($0.value))) })))
        }
        for (level, name) in Self.levels {
            let those = protocolOptions.filter { $0.level == level }
            if those.isEmpty { continue }
            members.append(.init(name, .object(those.map { .init("\($0.option)", .integer(Int64($0.value))) })))
        }
        if let congestionControl { members.append(.init("congestion", .string(congestionControl))) }
        if let order { members.append(.init("order", .integer(Int64(order)))) }
        if senders.contains(where: { !$0.isEmpty }) {
            members.append(.init("senders", .array(senders.map { .string(Self.text($0)) })))
        }
        return members.isEmpty ? nil : .object(members)
    }

    /// - Throws: `object-unsupported` where it is not of this form.
    init(_ json: JSON?, id: UInt32) throws(Problem) {
        guard let json else { return }
        if case .object(let members)? = json["options"] {
            for member in members {
                guard let option = Int32(member.name), Self.numbers.contains(option),
                    let value = member.value.bits.map({ Int32(truncatingIfNeeded: $0) })
                else { throw Self.invalid(id) }
                options.append((option, value))
            }
        }
        for (level, name) in Self.levels {
            guard case .object(let members)? = json[name] else { continue }
            for member in members {
                guard let option = Int32(member.name), Self.protocolNumbers[level]?.contains(option) == true,
                    let value = member.value.bits.map({ Int32(truncatingIfNeeded: $0) })
                else { throw Self.invalid(id) }
                protocolOptions.append((level, option, value))
            }
        }
        if case .string(let name)? = json["congestion"] {
            guard name.utf8.count < 16, !name.isEmpty else { throw Self.invalid(id) }
            congestionControl = name
        }
        order = json["order"]?.bits.map { Int(truncatingIfNeeded: $0) }
        guard case .array(let names)? = json["senders"] else { return }
        for name in names {
            guard case .string(let text) = name, let bytes = Self.bytes(text), bytes.count <= 108 else {
                throw Self.invalid(id)
            }
            senders.append(bytes)
        }
    }

    private static func invalid(_ id: UInt32) -> Problem {
        Problem(
            .objectUnsupported, "what the supplement says of socket \(id) makes no sense",
            remedy: "Copy the images again, all of them")
    }

    /// Names are bytes: two hexadecimal digits each.
    private static func text(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.utf8.map { UInt8(String(UnicodeScalar($0)), radix: 16) }
        guard digits.count % 2 == 0, digits.allSatisfy({ $0 != nil }) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { (digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0) }
    }
}

extension Descriptions {
    /// Records what images have no place for.
    func supplement(
        _ seen: SeenDescriptor, _ id: UInt32, through descriptor: Int32
    ) throws(Problem) -> SocketSupplement {
        guard let identity = seen.socket else { return SocketSupplement() }
        do throws(Errno) {
            let found = try SocketSupplement(of: descriptor, identity, socketDefaults)
            supplement[.socket, id] = found.json
            return found
        } catch {
            throw unreadable(seen, error, "getsockopt")
        }
    }
}
