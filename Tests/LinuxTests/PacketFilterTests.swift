import Testing

@testable import Linux

/// Messages to the packet filter, on paper.
@Suite("Packet filter")
struct PacketFilterTests {
    private static func end(_ address: [UInt8], _ port: UInt16) -> PacketFilter.End {
        .init(address: address, port: port)
    }

    /// Each connection is told once, in messages that no attribute is too long for.
    @Test func allConnectionsAreInTheSets() {
        let four = (1...2500).map { number in
            PacketFilter.Connection(
                own: Self.end([127, 0, 0, 1], 7000), other: Self.end([10, 0, 0, 1], UInt16(20_000 + number)))
        }
        let six = (1...1001).map { number in
            PacketFilter.Connection(
                own: Self.end([UInt8](repeating: 1, count: 16), 80),
                other: Self.end([UInt8](repeating: 2, count: 16), UInt16(number)))
        }
        let told = Self.keys(
            PacketFilter.making("t", isOwned: true, dropping: Set(four + six), passing: 1))
        let wanted = (four + six).map { one in
            func port(_ end: PacketFilter.End) -> [UInt8] { [UInt8(end.port >> 8), UInt8(end.port & 0xff), 0, 0] }
            return one.own.address + one.other.address + port(one.own) + port(one.other)
        }
        #expect(told.count == wanted.count && Set(told) == Set(wanted))
    }

    /// The keys of all elements (NFT_MSG_NEWSETELEM).
    private static func keys(_ transaction: [UInt8]) -> [[UInt8]] {
        let newElements: UInt16 = 10 << 8 | 12
        var keys: [[UInt8]] = []
        var rest = transaction[...]
        while rest.count >= 16 {
            let length = Int(rest.integer(at: 0, of: UInt32.self))
            // Behind struct nlmsghdr and struct nfgenmsg.
            if rest.integer(at: 4, of: UInt16.self) == newElements {
                NetlinkAttributes.each(in: rest.dropFirst(20).prefix(length - 20)) { type, list in
                    if type != 3 { return }
                    NetlinkAttributes.each(in: list) { _, element in
                        NetlinkAttributes.each(in: element) { _, key in
                            NetlinkAttributes.each(in: key) { _, bytes in keys.append(Array(bytes)) }
                        }
                    }
                }
            }
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return keys
    }
}
