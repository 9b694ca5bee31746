import Testing

@testable import Linux

/// Addresses of network devices, and what announces them.
@Suite("Addresses of devices")
struct AddressTests {
    private static let hardware: [UInt8] = [2, 0, 0, 0, 0, 9]

    @Test func asText() {
        #expect(DeviceAddress.parse("192.0.2.7") == [192, 0, 2, 7])
        #expect(DeviceAddress.parse("2001:db8::7")?.count == 16)
        #expect(DeviceAddress.parse("192.0.2") == nil && DeviceAddress.parse("") == nil)
        #expect("\(DeviceAddress([192, 0, 2, 7], length: 24))" == "192.0.2.7")
        let six = [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [7]
        #expect("\(DeviceAddress(six, length: 64))" == "2001:db8::7")
    }

    /// struct ifaddrmsg, and attributes as the kernel has them.
    @Test func asTheKernelTells() throws {
        let head: [UInt8] = [2, 24, 0x80, 0, 7, 0, 0, 0]
        let attributes =
            NetlinkAttributes.bytes(1, [192, 0, 2, 7]) + NetlinkAttributes.bytes(2, [192, 0, 2, 7])
            + NetlinkAttributes.bytes(4, [192, 0, 2, 255]) + NetlinkAttributes.bytes(8, [0x80, 2, 0, 0])
        let address = try #require(DeviceAddress(told: head + attributes))
        #expect(address.bytes == [192, 0, 2, 7] && address.length == 24)
        #expect(address.broadcast == [192, 0, 2, 255] && address.isAlone)
        #expect(DeviceAddress(told: head) == nil && DeviceAddress(told: [2, 24]) == nil)
        #expect(InterfaceAddress.index(of: head) == 7)
    }

    @Test func gratuitousARP() {
        let own: [UInt8] = [192, 0, 2, 7]
        let bytes = AddressAnnouncement.request(own, at: Self.hardware)
        #expect(bytes.count == 28)
        #expect(Array(bytes[8..<14]) == Self.hardware)
        #expect(Array(bytes[14..<18]) == own && Array(bytes[24..<28]) == own)
    }

    /// The sum of all words, checksum and pseudo-header included, is all ones.
    @Test func unsolicitedAdvertisement() {
        let own = [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [7]
        let bytes = AddressAnnouncement.advertisement(own, at: Self.hardware)
        #expect(bytes.count == 40 + 32)
        #expect(bytes[6] == 58 && bytes[7] == 255 && bytes[40] == 136 && bytes[44] == 0x20)
        let message = bytes.dropFirst(40)
        let all = Array(bytes[8..<40]) + [0, 0, 0, 32, 0, 0, 0, 58] + message
        var sum: UInt32 = 0
        for index in stride(from: 0, to: all.count, by: 2) { sum += UInt32(all[index]) << 8 | UInt32(all[index + 1]) }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        #expect(sum == 0xffff)
        #expect(Array(message.suffix(8)) == [2, 1] + Self.hardware)
    }
}
