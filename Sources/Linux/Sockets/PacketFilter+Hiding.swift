internal import CLinux

// Addresses that this host has already and that nobody is to find here yet.

extension PacketFilter {
    /// NFPROTO_ARP.
    private static let arp: UInt8 = 3
    /// The number of the loopback device in every network namespace.
    private static var loopback: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(integer: UInt32(1))
        return bytes
    }
    /// NFT_META_IIF, NFT_META_OIF, NFT_META_NFPROTO, NFT_META_L4PROTO.
    private enum Meta {
        static let (input, output, family, transport): (UInt32, UInt32, UInt32, UInt32) = (4, 5, 15, 16)
    }

    /// Makes a table that goes with its socket, and keeps the network from addresses of this host: what is sent to them, or from
    /// them, passes by the loopback device alone, and who asks for one of IPv6 gets no answer.
    public static func hiding(_ addresses: [[UInt8]], _ table: String) -> [UInt8] {
        var batch = Batch()
        let chains = batch.begin(table, hooks: [("input", 1), ("output", 3)])
        for address in addresses {
            let isSix = address.count == 16
            let family = Expression.meta(Meta.family) + Expression.equal([isSix ? 10 : 2])
            // Where source and destination stand in the headers (RFC 791, RFC 8200).
            let size = UInt32(address.count)
            let source: UInt32 = isSix ? 8 : 12
            for (chain, device, place) in [
                (chains[0], Meta.input, source + size), (chains[1], Meta.output, source),
            ] {
                batch.rule(
                    table, chain,
                    family + Expression.meta(device) + Expression.different(loopback)
                        + Expression.payload(1, place, size) + Expression.equal(address)
                        + Expression.verdict(Expression.drop))
            }
            guard isSix else { continue }
            // A neighbour solicitation (RFC 4861), which is sent to a group.
            let (icmp, solicitation): (UInt8, UInt8) = (58, 135)
            batch.rule(
                table, chains[0],
                family + Expression.meta(Meta.transport) + Expression.equal([icmp]) + Expression.payload(2, 0, 1)
                    + Expression.equal([solicitation]) + Expression.payload(2, 8, size) + Expression.equal(address)
                    + Expression.verdict(Expression.drop))
        }
        return batch.finished()
    }

    /// The same for ARP, which is a family of its own: nobody who asks for an address of IPv4 gets an answer, and none is
    /// named as that of a sender.
    public static func hidingFromARP(_ addresses: [[UInt8]], _ table: String) -> [UInt8] {
        var batch = Batch(family: arp)
        let chains = batch.begin(table, hooks: [("input", 0), ("output", 1)])
        for address in addresses where address.count == 4 {
            // Behind a head of eight bytes (RFC 826) and an address of Ethernet each.
            for (chain, place) in [(chains[0], UInt32(24)), (chains[1], 14)] {
                batch.rule(
                    table, chain,
                    Expression.payload(1, place, 4) + Expression.equal(address)
                        + Expression.verdict(Expression.drop))
            }
        }
        return batch.finished()
    }
}

extension PacketFilter.Batch {
    /// Makes a table that goes with its socket, and its chains, before all other filters.
    ///
    /// - Returns: the names of the chains.
    fileprivate mutating func begin(_ table: String, hooks: [(chain: String, number: UInt32)]) -> [String] {
        typealias Attribute = PacketFilter.Attribute
        add(
            PacketFilter.Message.newTable, PacketFilter.create,
            Attribute.text(1, table) + Attribute.word(2, PacketFilter.owned))
        let priority = UInt32(bitPattern: -350)
        for (chain, number) in hooks {
            add(
                PacketFilter.Message.newChain, PacketFilter.create,
                Attribute.text(1, table) + Attribute.text(3, chain)
                    + Attribute.nested(4, Attribute.word(1, number) + Attribute.word(2, priority))
                    + Attribute.word(5, 1) + Attribute.text(7, "filter"))
        }
        return hooks.map(\.chain)
    }
}
