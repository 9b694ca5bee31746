internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What the image format has no place for of sockets, in the section `socket` of the supplement, by the id of the
/// description: options that are not as a new socket has them, the order in which connections wait, the names of
/// those who sent datagrams, and who made a connection.
struct SocketSupplement: Equatable, Sendable {
    /// Options of level SOL_SOCKET, by number.
    var options: [(option: Int32, value: Int32)] = []
    /// Options of TCP, by number.
    var tcpOptions: [(option: Int32, value: Int32)] = []
    /// How congestion is met (TCP_CONGESTION), where it is not as usual.
    var congestionControl: String?
    /// The key of fast open (TCP_FASTOPEN_KEY), where it has one of its own: one or two of 16 bytes.
    var fastOpenKey: [UInt8] = []
    /// The place in the queue of connections that wait to be accepted.
    var order: Int?
    /// The sender of each datagram that is queued, as the kernel gives the name; nothing where it has none.
    var senders: [[UInt8]] = []
    /// Of a Unix socket: who made the connection, or made it listen.
    var peer: StandIn?
    /// Who made a connection that waits to be accepted, as far as can be told: a process that has the socket.
    var connector: StandIn?
    /// By which number the images have what it has sent on a connection that waits to be accepted.
    var sent: UInt32?
    /// Those who wait to be accepted by it and have closed their ends.
    var leavers: [EarlyLeaver] = []
    /// The TCP connections that wait to be accepted by it.
    var streams: [WaitingStream] = []
    /// A datagram that is being put together: by which number the images have what there is of it, and its receiver.
    var unfinished: UnfinishedDatagram?
    /// It led to the journal, which logged it as this.
    var journal: [UInt8]?
    /// The names of network devices that the images have by their numbers, which are others on each host.
    var devices: [UInt32: String] = [:]
    /// Options of other levels.
    var levels = SocketLevels()
    /// Memberships of groups.
    var groups: [MulticastGroup] = []
    /// How each datagram that is queued had come.
    var arrivals: [DatagramArrival] = []

    static func == (one: SocketSupplement, other: SocketSupplement) -> Bool {
        one.order == other.order && one.senders == other.senders && one.congestionControl == other.congestionControl
            && one.fastOpenKey == other.fastOpenKey
            && one.tcpOptions.elementsEqual(other.tcpOptions) { $0 == $1 }
            && one.levels == other.levels && one.groups == other.groups && one.arrivals == other.arrivals
            && one.devices == other.devices && one.journal == other.journal
            && one.peer == other.peer
            && one.connector == other.connector && one.sent == other.sent && one.leavers == other.leavers
            && one.streams == other.streams && one.unfinished == other.unfinished
            && one.options.elementsEqual(other.options) { $0.option == $1.option && $0.value == $1.value }
    }

    /// Options that are numbers, and that images have no field for (asm-generic/socket.h): debugging, timestamps and
    /// their newer forms, the count of what was dropped, the state of the radio, the peek offset, checksums of frames, the
    /// lock on the filter, error queue, busy polling, pacing, zero copy, hashes, and what else may be passed beside the data.
    static let numbers: [Int32] = [
        1, 29, 35, 37, 40, 41, 42, 43, 44, 45, 46, 47, 60, 63, 64, 65, 69, 70, 74, 76, 82, 83,
    ]

    init() {}

    /// Compares a socket with a new one of its kind.
    init(of socket: Int32, _ identity: SocketIdentity, _ usual: UsualOptions) throws(Errno) {
        for (option, usual) in usual.numbers {
            guard let value = try? Sockets.number(of: socket, option), value != usual else { continue }
            options.append((option, value))
        }
        levels = try SocketLevels(of: socket, comparedWith: usual, identity)
        if [Sockets.inet, Sockets.inet6].contains(identity.domain), identity.type != Sockets.stream {
            groups = try MulticastGroup.memberships(of: socket, isSix: identity.domain == Sockets.inet6)
        }
        if identity.domain == Sockets.unix { peer = try Sockets.peerCredentials(of: socket) }
        try addTCPOptions(of: socket, usual)
    }

    func applyOptions(to socket: Int32) throws(Errno) {
        for (option, value) in options { try Sockets.set(socket, option, to: value) }
        try levels.apply(to: socket, beforeBinding: false)
        for group in groups { try group.join(socket) }
    }

    /// What stands in the way where this host lacks network devices.
    func missingDevices(for socket: String) -> [Problem] {
        Set(groups.map(\.interface) + levels.interfaces.values + devices.values).sorted().compactMap { name in
            guard let trial = try? Sockets.make(Sockets.inet, Sockets.datagram),
                (try? Sockets.number(ofInterface: name, trial.raw)) == nil
            else { return nil }
            return Problem(
                .fileMissing, "this host has no network device \(name), which the \(socket) uses",
                object: .init(path: name), remedy: "Give a device that name: ip link set DEVICE name \(name)")
        }
    }

    // MARK: As JSON

    var json: JSON? {
        var members: [JSON.Member] = []
        if !options.isEmpty {
            members.append(.init("options", .object(options.map { .init("\($0.option)", .integer(Int64($0.value))) })))
        }
        if !tcpOptions.isEmpty {
            members.append(.init("tcp", .object(tcpOptions.map { .init("\($0.option)", .integer(Int64($0.value))) })))
        }
        if let congestionControl { members.append(.init("congestion", .string(congestionControl))) }
        if !fastOpenKey.isEmpty { members.append(.init("fastOpenKey", .string(Hexadecimal.text(fastOpenKey)))) }
        if let order { members.append(.init("order", .integer(Int64(order)))) }
        if senders.contains(where: { !$0.isEmpty }) {
            members.append(.init("senders", .array(senders.map { .string(Hexadecimal.text($0)) })))
        }
        if let journal { members.append(.init("journal", .string(Hexadecimal.text(journal)))) }
        if !devices.isEmpty {
            let names = devices.sorted { $0.key < $1.key }
            members.append(.init("devices", .object(names.map { .init("\($0.key)", .string($0.value)) })))
        }
        members += levels.members
        if !groups.isEmpty { members.append(.init("groups", .array(groups.map(\.json)))) }
        if arrivals.contains(where: { $0 != DatagramArrival() }) {
            members.append(.init("arrivals", .array(arrivals.map(\.json))))
        }
        if let peer { members.append(.init("peer", peer.json)) }
        if let connector { members.append(.init("connector", connector.json)) }
        if let sent { members.append(.init("sent", .integer(Int64(sent)))) }
        if !streams.isEmpty { members.append(.init("streams", .array(streams.map(\.json)))) }
        if let unfinished { members.append(.init("unfinished", unfinished.json)) }
        if !leavers.isEmpty { members.append(.init("leavers", .array(leavers.map(\.json)))) }
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
        if case .object(let members)? = json["tcp"] {
            for member in members {
                guard let option = Int32(member.name), Self.tcpNumbers.contains(option),
                    let value = member.value.bits.map({ Int32(truncatingIfNeeded: $0) })
                else { throw Self.invalid(id) }
                tcpOptions.append((option, value))
            }
        }
        if case .string(let name)? = json["congestion"] {
            guard name.utf8.count < 16, !name.isEmpty else { throw Self.invalid(id) }
            congestionControl = name
        }
        if let value = json["fastOpenKey"] {
            guard case .string(let text) = value, let key = Hexadecimal.bytes(text), [16, 32].contains(key.count) else {
                throw Self.invalid(id)
            }
            fastOpenKey = key
        }
        order = json["order"]?.bits.map { Int(truncatingIfNeeded: $0) }
        if let value = json["sent"] {
            guard let number = value.bits.flatMap({ UInt32(exactly: $0) }) else { throw Self.invalid(id) }
            sent = number
        }
        guard let levels = SocketLevels(json), let leavers = Self.list(json["leavers"], EarlyLeaver.init),
            let streams = Self.list(json["streams"], WaitingStream.init),
            let groups = Self.list(json["groups"], MulticastGroup.init),
            let arrivals = Self.list(json["arrivals"], DatagramArrival.init)
        else { throw Self.invalid(id) }
        (self.levels, self.groups, self.arrivals, self.leavers) = (levels, groups, arrivals, leavers)
        self.streams = streams
        if let value = json["unfinished"] {
            guard let found = UnfinishedDatagram(value) else { throw Self.invalid(id) }
            unfinished = found
        }
        if case .object(let members)? = json["devices"] {
            for member in members {
                guard let number = UInt32(member.name), case .string(let name) = member.value,
                    Sockets.isInterfaceName(name)
                else { throw Self.invalid(id) }
                devices[number] = name
            }
        }
        if let value = json["journal"] {
            guard case .string(let text) = value, let name = Hexadecimal.bytes(text), name.count <= 64,
                !name.contains(UInt8(ascii: "\n")), !name.contains(0)
            else { throw Self.invalid(id) }
            journal = name
        }
        peer = try Self.process(json["peer"], id)
        connector = try Self.process(json["connector"], id)
        guard case .array(let names)? = json["senders"] else { return }
        for name in names {
            guard case .string(let text) = name, let bytes = Hexadecimal.bytes(text), bytes.count <= 108 else {
                throw Self.invalid(id)
            }
            senders.append(bytes)
        }
    }

    private static func list<Element>(_ json: JSON?, _ read: (JSON) -> Element?) -> [Element]? {
        guard let json else { return [] }
        guard case .array(let values) = json else { return nil }
        let elements = values.compactMap(read)
        return elements.count == values.count ? elements : nil
    }

    private static func process(_ json: JSON?, _ id: UInt32) throws(Problem) -> StandIn? {
        guard let json else { return nil }
        guard let process = StandIn(json) else { throw invalid(id) }
        return process
    }

    private static func invalid(_ id: UInt32) -> Problem {
        Problem(
            .objectUnsupported, "what the supplement says of socket \(id) makes no sense",
            remedy: "Copy the images again, all of them")
    }
}

extension Descriptions {
    /// Records what images have no place for.
    func supplement(
        _ seen: SeenDescriptor, _ id: UInt32, through descriptor: Int32
    ) throws(Problem) -> SocketSupplement {
        guard let identity = seen.socket else { return SocketSupplement() }
        do throws(Errno) {
            let found = try SocketSupplement(of: descriptor, identity, try socketDefaults.usual(for: identity))
            supplement[.socket, id] = found.json
            return found
        } catch {
            throw unreadable(seen, error, "getsockopt")
        }
    }
}
