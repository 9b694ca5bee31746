internal import CLinux
public import SystemPackage

/// Tables of nftables that drop the segments of chosen TCP connections, as messages of NETLINK_NETFILTER
/// (linux/netfilter/nf_tables.h). No program is needed for them; `nft list ruleset` shows what they make.
///
/// A table has two sets, one for IPv4 and one for IPv6, of connections as the host sees them: its own address, the
/// other one, and the ports. What the host sends is looked up as it is, what it receives the other way round.
public enum PacketFilter {
    /// One end of a connection: 4 or 16 bytes in network order, and the port.
    public struct End: Sendable, Hashable {
        public var address: [UInt8]
        public var port: UInt16
        public init(address: [UInt8], port: UInt16) {
            self.address = address
            self.port = port
        }
    }

    /// A connection as this host sees it.
    public struct Connection: Sendable, Hashable {
        public var own, other: End
        public init(own: End, other: End) {
            self.own = own
            self.other = other
        }
    }

    // MARK: Numbers of the kernel

    enum Message {
        static let (newTable, getTable, deleteTable, newChain, newRule): (UInt16, UInt16, UInt16, UInt16, UInt16) =
            (0, 1, 2, 3, 6)
        static let (newSet, newElements): (UInt16, UInt16) = (9, 12)
        static let (batchBegin, batchEnd): (UInt16, UInt16) = (0x10, 0x11)
    }

    private static let subsystem: UInt16 = 10
    static let inet: UInt8 = 1
    static let (request, acknowledge, create, append, dump): (UInt16, UInt16, UInt16, UInt16, UInt16) =
        (0x1, 0x4, 0x400, 0x800, 0x300)
    /// NFT_TABLE_F_OWNER: the table goes with the socket that made it; Linux 5.12.
    static let owned: UInt32 = 2
    /// How many elements go into one message: an attribute has at most 64 KiB.
    private static let elementsAtOnce = 1000

    // MARK: Whole transactions

    /// Makes a table: all of it or, where something fails, nothing.
    ///
    /// - Parameters:
    ///   - isOwned: the table goes when the socket is closed that sends this.
    ///   - mark: packets with this mark (SO_MARK) pass.
    ///   - ports: new connections to these ports are dropped too: whoever asks for one asks again after a second.
    ///   - seconds: for how long those ports are closed; nil as long as the table is there.
    ///   - comment: what `nft list` shows beside the table; cut off after 250 bytes.
    public static func making(
        _ table: String, isOwned: Bool, dropping connections: Set<Connection>, passing mark: UInt32,
        closing ports: Set<UInt16> = [], forSeconds seconds: UInt64? = nil, comment: String? = nil
    ) -> [UInt8] {
        var batch = Batch()
        batch.add(
            Message.newTable, create,
            Attribute.text(1, table) + (isOwned ? Attribute.word(2, owned) : [])
                + (comment.map(Attribute.comment) ?? []))
        if !ports.isEmpty { batch.addPorts(ports, to: table, forSeconds: seconds) }
        let four = connections.filter { $0.own.address.count == 4 }
        let six = connections.filter { $0.own.address.count == 16 }
        let sets = [("connections4", 1, four, 16), ("connections6", 2, six, 40)] as [(String, UInt32, _, UInt32)]
        for (name, id, elements, size) in sets where !elements.isEmpty {
            // What `nft list` calls the parts of the key: ipv4_addr or ipv6_addr, and twice inet_service.
            let (address, service): (UInt32, UInt32) = (size == 16 ? 7 : 8, 13)
            let type = address << 18 | address << 12 | service << 6 | service
            batch.add(
                Message.newSet, create,
                Attribute.text(1, table) + Attribute.text(2, name) + Attribute.word(3, 0) + Attribute.word(4, type)
                    + Attribute.word(5, size) + Attribute.word(10, id))
            var rest = elements.map(key).sorted { $0.lexicographicallyPrecedes($1) }[...]
            while !rest.isEmpty {
                var list: [UInt8] = []
                for key in rest.prefix(elementsAtOnce) { Attribute.add(elementOf: key, to: &list) }
                batch.add(
                    Message.newElements, create,
                    Attribute.text(1, table) + Attribute.text(2, name) + Attribute.word(4, id)
                        + Attribute.nested(3, list))
                rest = rest.dropFirst(elementsAtOnce)
            }
        }
        for (chain, hook) in [("input", 1), ("output", 3)] as [(String, UInt32)] {
            // Before all other filters: conntrack shall not see that something was sent in vain.
            let priority = UInt32(bitPattern: -350)
            batch.add(
                Message.newChain, create,
                Attribute.text(1, table) + Attribute.text(3, chain)
                    + Attribute.nested(4, Attribute.word(1, hook) + Attribute.word(2, priority))
                    + Attribute.word(5, 1) + Attribute.text(7, "filter"))
            batch.rule(table, chain, Expression.passing(mark))
            if !ports.isEmpty && chain == "input" { batch.rule(table, chain, Expression.droppingNew(portSet)) }
            for (name, id, elements, size) in sets where !elements.isEmpty {
                batch.rule(
                    table, chain,
                    Expression.dropping(set: name, id, isSix: size == 40, isReceived: chain == "input"))
            }
        }
        return batch.finished()
    }

    /// The set of ports that are closed to new connections.
    private static let portSet: (name: String, id: UInt32) = ("listening", 3)

    /// Removes a table; fails where there is none.
    public static func removing(_ table: String) -> [UInt8] {
        var batch = Batch()
        batch.add(Message.deleteTable, 0, Attribute.text(1, table))
        return batch.finished()
    }

    /// The key of a connection in its set: addresses and ports, each in whole words.
    private static func key(_ connection: Connection) -> [UInt8] {
        func port(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xff), 0, 0] }
        return connection.own.address + connection.other.address + port(connection.own.port)
            + port(connection.other.port)
    }

    // MARK: The kernel

    /// A socket for transactions; tables that it owns live as long as it, or a copy of it.
    public static func open() throws(Errno) -> OwnedDescriptor {
        let (netfilter, raw): (Int32, Int32) = (12, 3)
        let socket = try Sockets.make(Sockets.netlink, raw, netfilter)
        // A transaction is one message. What it takes is bounded by the number of connections.
        try Sockets.set(socket.raw, .forcedSendBuffer, to: 64 << 20)
        try Sockets.set(socket.raw, .forcedReceiveBuffer, to: 4 << 20)
        return socket
    }

    /// Carries a transaction out.
    ///
    /// - Throws: what the kernel has against it: ENOENT, EEXIST; EOPNOTSUPP without nf_tables; EPERM without
    ///   CAP_NET_ADMIN.
    public static func apply(_ transaction: [UInt8], through socket: Int32) throws(Errno) {
        try Sockets.send(socket, transaction, to: [UInt8(Sockets.netlink), 0, 0, 0] + [UInt8](repeating: 0, count: 8))
        var failure: Errno?
        var entries = [Files.PollEntry(socket, .readable)]
        // The kernel has answered by now: there is an answer to the last message at least, or an error.
        while try Files.poll(&entries, timeout: failure == nil ? 5_000_000_000 : 0) > 0 {
            var rest = try Files.readSome(socket, atMost: 256 << 10)[...]
            while rest.count >= 16 {
                let length = Int(rest.integer(at: 0, of: UInt32.self))
                guard length >= 16, length <= rest.count else { throw .badMessage }
                let (error, type) = (UInt16(2), rest.integer(at: 4, of: UInt16.self))
                if type == error {
                    let number = -Int32(bitPattern: rest.integer(at: 16, of: UInt32.self))
                    if number == 0 && failure == nil { return }
                    if number != 0 { failure = failure ?? Errno(rawValue: number) }
                }
                rest = rest.dropFirst((length + 3) & ~3)
            }
        }
        throw failure ?? .timedOut
    }

    /// A table as the kernel tells of it.
    public struct Table: Sendable, Equatable {
        public var name: String
        /// What `nft list` shows beside it.
        public var comment: String?
        public init(name: String, comment: String? = nil) {
            self.name = name
            self.comment = comment
        }
    }

    /// All tables of the family `inet` in the network namespace that Apus is in.
    public static func tables() throws(Errno) -> [Table] {
        let socket = try open()
        let question = header(Message.getTable, request | dump, sequence: 1, [inet, 0, 0, 0])
        try Sockets.send(socket.raw, question, to: [UInt8(Sockets.netlink), 0, 0, 0] + [UInt8](repeating: 0, count: 8))
        var tables: [Table] = []
        while true {
            if try parse(try Files.readSome(socket.raw, atMost: 256 << 10), into: &tables) { return tables }
        }
    }

    /// - Returns: whether this was the last part of the answer.
    static func parse(_ answer: [UInt8], into tables: inout [Table]) throws(Errno) -> Bool {
        let (error, done): (UInt16, UInt16) = (2, 3)
        var rest = answer[...]
        while rest.count >= 16 {
            let length = Int(rest.integer(at: 0, of: UInt32.self))
            guard length >= 16, length <= rest.count else { throw .badMessage }
            let type = rest.integer(at: 4, of: UInt16.self)
            if type == done { return true }
            if type == error {
                throw Errno(rawValue: -Int32(bitPattern: rest.integer(at: 16, of: UInt32.self)))
            }
            var table = Table(name: "")
            NetlinkAttributes.each(in: rest.dropFirst(20).prefix(max(0, length - 20))) { type, value in
                func text(_ bytes: ArraySlice<UInt8>) -> String {
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if type == 1 { table.name = text(value) }
                if type == Attribute.userData, value.count > 2, value.first == 0 {
                    table.comment = text(value.dropFirst(2))
                }
            }
            if !table.name.isEmpty { tables.append(table) }
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return false
    }

    // MARK: Building blocks

    /// struct nlmsghdr and struct nfgenmsg, and what follows.
    private static func header(_ type: UInt16, _ flags: UInt16, sequence: UInt32, _ body: [UInt8]) -> [UInt8] {
        var message: [UInt8] = []
        message.append(integer: UInt32(16 + body.count))
        message.append(integer: type >= Message.batchBegin ? type : subsystem << 8 | type)
        message.append(integer: flags)
        message.append(integer: sequence)
        message.append(integer: UInt32(0))
        return message + body
    }

    /// Messages that take effect together.
    struct Batch {
        /// NFPROTO_*.
        private let family: UInt8
        private var messages: [(type: UInt16, flags: UInt16, body: [UInt8])] = []

        init(family: UInt8 = PacketFilter.inet) { self.family = family }

        mutating func add(_ type: UInt16, _ flags: UInt16, _ attributes: [UInt8]) {
            messages.append((type, flags, [family, 0, 0, 0] + attributes))
        }

        mutating func rule(_ table: String, _ chain: String, _ expressions: [UInt8]) {
            add(
                Message.newRule, create | PacketFilter.append,
                Attribute.text(1, table) + Attribute.text(2, chain) + Attribute.nested(4, expressions))
        }

        /// A set of ports, of which each goes by itself after a while.
        mutating func addPorts(_ ports: Set<UInt16>, to table: String, forSeconds seconds: UInt64?) {
            // What `nft list` calls the key: inet_service. NFT_SET_TIMEOUT.
            let (service, size, expires): (UInt32, UInt32, UInt32) = (13, 2, 0x10)
            let (name, id) = PacketFilter.portSet
            add(
                Message.newSet, create,
                Attribute.text(1, table) + Attribute.text(2, name)
                    + Attribute.word(3, seconds == nil ? 0 : expires) + Attribute.word(4, service)
                    + Attribute.word(5, size) + Attribute.word(10, id)
                    + (seconds.map { Attribute.long(11, $0 * 1000) } ?? []))
            let list = ports.sorted().prefix(elementsAtOnce).flatMap { port in
                let key = [UInt8(port >> 8), UInt8(port & 0xff)]
                return Attribute.nested(1, Attribute.nested(1, NetlinkAttributes.bytes(1, key)))
            }
            add(
                Message.newElements, create,
                Attribute.text(1, table) + Attribute.text(2, name) + Attribute.word(4, id) + Attribute.nested(3, list))
        }

        /// The last message asks for an answer: what comes is that one or an error.
        func finished() -> [UInt8] {
            let edge: [UInt8] = [0, 0, 0, UInt8(subsystem)]
            var all = header(Message.batchBegin, request, sequence: 0, edge)
            for (index, message) in messages.enumerated() {
                let last = index == messages.count - 1
                all += header(
                    message.type, request | message.flags | (last ? acknowledge : 0), sequence: UInt32(index + 1),
                    message.body)
            }
            return all + header(Message.batchEnd, request, sequence: UInt32(messages.count + 1), edge)
        }
    }

    /// Attributes with numbers in network order.
    enum Attribute {
        static func nested(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
            NetlinkAttributes.bytes(type | 0x8000, value)
        }

        static func word(_ type: UInt16, _ value: UInt32) -> [UInt8] {
            NetlinkAttributes.bytes(type, (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) })
        }

        static func long(_ type: UInt16, _ value: UInt64) -> [UInt8] {
            NetlinkAttributes.bytes(type, (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) })
        }

        static func text(_ type: UInt16, _ value: String) -> [UInt8] {
            NetlinkAttributes.bytes(type, Array(value.utf8) + [0])
        }

        /// An element of a set, in the list of a message: three attributes, each within the one before. There may be ten
        /// thousand, while a tree stands still: nothing is put together and copied again.
        ///
        /// - Parameter key: whole words.
        static func add(elementOf key: [UInt8], to list: inout [UInt8]) {
            precondition(key.count % 4 == 0, "an attribute would have to be filled up")
            let (header, nested): (Int, UInt16) = (4, 0x8000)
            // NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE.
            for (depth, type) in [1 | nested, 1 | nested, 1].enumerated() {
                list.append(integer: UInt16(key.count + header * (3 - depth)))
                list.append(integer: type)
            }
            list += key
        }

        /// NFTA_TABLE_USERDATA.
        static let userData: UInt16 = 6

        /// As the library of `nft` has it: type 0, the length, a text with a NUL at its end. Kernels before 5.10 pass it over.
        static func comment(_ text: String) -> [UInt8] {
            let value = Array(text.utf8.prefix(250)) + [0]
            return NetlinkAttributes.bytes(userData, [0, UInt8(value.count)] + value)
        }
    }

    /// Expressions of rules. Registers are of 32 bits, the first has the number 8.
    enum Expression {
        static let (drop, accept): (UInt32, UInt32) = (0, 1)
        private static let first: UInt32 = 8

        private static func make(_ name: String, _ data: [UInt8]) -> [UInt8] {
            Attribute.nested(1, Attribute.text(1, name) + Attribute.nested(2, data))
        }

        /// Loads a property of the packet into the first register.
        static func meta(_ key: UInt32) -> [UInt8] {
            make("meta", Attribute.word(2, key) + Attribute.word(1, first))
        }

        /// Goes on only if the first register begins with these bytes.
        static func equal(_ value: [UInt8]) -> [UInt8] { compare(0, value) }

        /// Goes on only if the first register does not begin with these bytes.
        static func different(_ value: [UInt8]) -> [UInt8] { compare(1, value) }

        private static func compare(_ operation: UInt32, _ value: [UInt8]) -> [UInt8] {
            make(
                "cmp",
                Attribute.word(1, first) + Attribute.word(2, operation)
                    + Attribute.nested(3, NetlinkAttributes.bytes(1, value)))
        }

        /// - Parameter base: 1 the network header, 2 that of TCP.
        static func payload(_ base: UInt32, _ offset: UInt32, _ length: UInt32, into register: UInt32 = first)
            -> [UInt8]
        {
            make(
                "payload",
                Attribute.word(1, register) + Attribute.word(2, base) + Attribute.word(3, offset)
                    + Attribute.word(4, length))
        }

        static func verdict(_ code: UInt32) -> [UInt8] {
            make(
                "immediate",
                Attribute.word(1, 0) + Attribute.nested(2, Attribute.nested(2, Attribute.word(1, code))))
        }

        static func passing(_ mark: UInt32) -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.append(integer: mark)
            return meta(3) + equal(bytes) + verdict(accept)
        }

        /// Drops what asks for a new connection: of the flags SYN and ACK the first alone (RFC 9293).
        static func droppingNew(_ set: (name: String, id: UInt32)) -> [UInt8] {
            let (tcp, flags, new): (UInt8, UInt8, UInt8) = (6, 0x12, 0x02)
            let masked = make(
                "bitwise",
                Attribute.word(1, first) + Attribute.word(2, first) + Attribute.word(3, 1)
                    + Attribute.nested(4, NetlinkAttributes.bytes(1, [flags]))
                    + Attribute.nested(5, NetlinkAttributes.bytes(1, [0])))
            return meta(16) + equal([tcp]) + payload(2, 13, 1, into: first) + masked + equal([new])
                + payload(2, 2, 2, into: first)
                + make(
                    "lookup", Attribute.text(1, set.name) + Attribute.word(2, first) + Attribute.word(4, set.id))
                + verdict(drop)
        }

        static func dropping(set: String, _ id: UInt32, isSix: Bool, isReceived: Bool) -> [UInt8] {
            let (protocolFamily, protocolNumber): (UInt32, UInt32) = (15, 16)
            let (ipv4, ipv6, tcp): (UInt8, UInt8, UInt8) = (2, 10, 6)
            // Where source and destination stand in the headers (RFC 791, RFC 8200, RFC 9293).
            let size: UInt32 = isSix ? 16 : 4
            let source: UInt32 = isSix ? 8 : 12
            let (addresses, ports) =
                isReceived ? ([source + size, source], [2, 0] as [UInt32]) : ([source, source + size], [0, 2])
            var all = meta(protocolFamily) + equal([isSix ? ipv6 : ipv4]) + meta(protocolNumber) + equal([tcp])
            var register = first
            for address in addresses {
                all += payload(1, address, size, into: register)
                register += size / 4
            }
            for port in ports {
                all += payload(2, port, 2, into: register)
                register += 1
            }
            all += make(
                "lookup", Attribute.text(1, set) + Attribute.word(2, first) + Attribute.word(4, id))
            return all + verdict(drop)
        }
    }
}
