import Diagnostics
import Images
import Linux
import Testing

@testable import Objects

/// What is recorded of sockets of datagrams, and the packets that deliver them anew.
@Suite("Datagrams")
struct DatagramTests {
    private static func delivery(_ sender: [UInt8], family: Int32, protocolNumber: UInt32 = 17) throws
        -> DatagramDelivery
    {
        var entry = InetSkEntry()
        entry.family = UInt32(bitPattern: family)
        entry.proto = protocolNumber
        var supplement = SocketSupplement()
        supplement.senders = [sender]
        var arrival = DatagramArrival()
        (arrival.ttl, arrival.tos, arrival.destination) = (9, 0x12, [203, 0, 113, 1])
        supplement.arrivals = [arrival]
        let packet = UnixSocketImages.Packet(payload: [1, 2, 3], descriptions: [])
        return try #require(DatagramDelivery(entry, supplement, [packet]), "nothing to deliver")
    }

    /// The sum over a packet with its checksum is that of no differences.
    private static func isSound(_ bytes: [UInt8], addresses: Range<Int>, segment: Int) -> Bool {
        let rest = Array(bytes[segment...])
        let pseudo = Array(bytes[addresses]) + [0, 0, 0, UInt8(rest.count), 0, 0, 0, 17] + rest
        return DatagramDelivery.checksum(pseudo) == 0xffff
    }

    @Test func aPacketOfVersionFour() throws {
        let delivery = try Self.delivery([0x04, 0xd2, 198, 51, 100, 7] + [UInt8](repeating: 0, count: 8), family: 2)
        let packet = delivery.packet(delivery.messages[0], to: 4321)
        #expect(packet.bytes.count == 31 && !packet.isSix)
        // An address that is not this host's is not sent to.
        #expect(packet.destination.bytes == [127, 0, 0, 1])
        #expect(packet.bytes[0] == 0x45 && packet.bytes[1] == 0x12 && packet.bytes[8] == 9 && packet.bytes[9] == 17)
        #expect(Array(packet.bytes[12..<24]) == [198, 51, 100, 7, 127, 0, 0, 1, 0x04, 0xd2, 0x10, 0xe1])
        #expect(Array(packet.bytes[28...]) == [1, 2, 3])
        #expect(Self.isSound(packet.bytes, addresses: 12..<20, segment: 20))
    }

    @Test func aPacketOfVersionSix() throws {
        let sender: [UInt8] =
            [0, 53, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 7, count: 12) + [0, 0, 0, 0]
        let delivery = try Self.delivery(sender, family: 10)
        let packet = delivery.packet(delivery.messages[0], to: 4321)
        #expect(packet.isSix && packet.bytes.count == 51 && packet.bytes[0] == 0x61 && packet.bytes[1] == 0x20)
        #expect(packet.bytes[7] == 9 && packet.bytes[39] == 1)
        #expect(Self.isSound(packet.bytes, addresses: 8..<40, segment: 40))
    }

    /// A sender of version 4 that a socket of version 6 has heard.
    @Test func aMappedSender() throws {
        let sender =
            [0, 53, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 198, 51, 100, 7, 0, 0, 0, 0]
        let delivery = try Self.delivery(sender, family: 10)
        let packet = delivery.packet(delivery.messages[0], to: 1)
        #expect(!packet.isSix && Array(packet.bytes[12..<16]) == [198, 51, 100, 7])
    }

    /// What the kernel has put together (UDP_GRO) is taken apart.
    @Test func whatWasPutTogether() {
        var message = SocketMessage(Array(0..<10))
        #expect(DatagramArrival.split(message).map(\.payload) == [Array(0..<10)])
        message.ancillary = [.init(level: 17, type: 104, data: [4, 0, 0, 0])]
        #expect(DatagramArrival.split(message).map(\.payload) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
        message.ancillary = [.init(level: 17, type: 104, data: [0, 0, 0, 0])]
        #expect(DatagramArrival.split(message).count == 1)
    }

    @Test func groupsOfTheHost() {
        let four =
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
            + "1\tlo        :     2      V3\n\t\t\t\t3412FFEF     1 0:00000000\t\t0\n\t\t\t\tgarbage\n"
            + "2\teth0      :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
        let found = MulticastGroup.parse(four)
        #expect(found.map(\.0) == [1, 2] && found.map(\.1.interface) == ["lo", "eth0"])
        #expect(found.map(\.1.address) == [[239, 255, 18, 52], [224, 0, 0, 1]])
        let six = "1    lo              ff020000000000000000000000000001     1 0000000C 0\n2 eth0 ff02 1\nx\n"
        #expect(MulticastGroup.parseSix(six).map(\.1.address.count) == [16])
        #expect(MulticastGroup.parse("").isEmpty && MulticastGroup.parseSix("").isEmpty)
    }

    @Test func theSupplementThereAndBack() throws {
        var told = SocketSupplement()
        told.levels.settings = [.init(level: 0, name: 10): 2, .init(level: 41, name: 18): -1]
        told.levels.interfaces = [.init(level: 41, name: 17): "eth0"]
        var group = MulticastGroup(interface: "lo", address: [239, 1, 2, 3])
        (group.includes, group.sources) = (true, [[10, 0, 0, 1]])
        told.groups = [group, MulticastGroup(interface: "eth0", address: [UInt8](repeating: 0xff, count: 16))]
        var arrival = DatagramArrival()
        arrival.ttl = 255
        told.arrivals = [DatagramArrival(), arrival]
        told.senders = [[1], [2]]
        #expect(try SocketSupplement(JSON(parsing: (told.json ?? .null).text().utf8), id: 1) == told)
    }

    @Test(arguments: [
        #"{"levels":{"0":{"9999":1}}}"#, #"{"levels":{"7":{"1":1}}}"#, #"{"levels":{"0":{"10":"x"}}}"#,
        #"{"levels":7}"#,
        #"{"interfaces":{"41":{"17":"a name that is too long"}}}"#, #"{"interfaces":{"41":{"18":"lo"}}}"#,
        #"{"groups":{}}"#, #"{"groups":[{"interface":"lo","address":"ff"}]}"#, #"{"groups":[{"address":"7f000001"}]}"#,
        #"{"groups":[{"interface":"lo","address":"ef010203","sources":["ff"]}]}"#, #"{"arrivals":[7]}"#,
        #"{"arrivals":[{"ttl":256}]}"#, #"{"arrivals":[{"to":"7f"}]}"#,
    ])
    func whatMakesNoSense(_ text: String) {
        #expect(throws: Problem.self) { try SocketSupplement(JSON(parsing: text.utf8), id: 1) }
    }

    /// Raw sockets of images that could never have been.
    @Test func impossibleRawSockets() {
        var entry = InetSkEntry()
        entry.family = 2
        entry.type = 3
        entry.proto = 1
        (entry.srcAddr, entry.dstAddr) = ([0], [0])
        #expect(throws: Never.self) { try RawSocketEnd(entry, Supplement()) }
        for spoil in [
            { $0.family = 16 }, { $0.proto = 256 }, { $0.srcAddr = [] }, { $0.srcPort = 65536 },
            { $0.ipOpts.raw.icmpvFilter = [UInt32](repeating: 0, count: 9) },
        ] as [(inout InetSkEntry) -> Void] {
            var spoilt = entry
            spoil(&spoilt)
            #expect(throws: Problem.self) { try RawSocketEnd(spoilt, Supplement()) }
        }
    }

    /// Packet sockets of images that could never have been.
    @Test func impossiblePacketSockets() {
        var entry = PacketSockEntry()
        entry.type = 3
        entry.protocol = 0x300
        #expect(throws: Never.self) { try PacketSocketEnd(entry, Supplement()) }
        var long = PacketMclist()
        long.addressBytes = [UInt8](repeating: 0, count: 33)
        for spoil in [
            { $0.type = 1 }, { $0.protocol = 65536 }, { $0.mclist = [long] },
        ] as [(inout PacketSockEntry) -> Void] {
            var spoilt = entry
            spoil(&spoilt)
            #expect(throws: Problem.self) { try PacketSocketEnd(spoilt, Supplement()) }
        }
    }
}
