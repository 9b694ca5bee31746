import Testing

@testable import Linux

/// Segments of TCP as they are sent: lengths, flags and checksums.
@Suite("Forged segments")
struct ForgedSegmentTests {
    private static let four = PacketFilter.Connection(
        own: .init(address: [192, 0, 2, 10], port: 7000), other: .init(address: [192, 0, 2, 99], port: 258))
    private static let six = PacketFilter.Connection(
        own: .init(address: [UInt8](repeating: 0, count: 15) + [1], port: 7000),
        other: .init(address: [UInt8](repeating: 0, count: 15) + [2], port: 258))

    /// The sum of all words, checksum and pseudo-header included, is all ones (RFC 1071).
    private func isWhole(_ segment: ForgedSegment) -> Bool {
        let bytes = segment.bytes
        let header = segment.connection.own.address.count == 16 ? 40 : 20
        let tcp = bytes.dropFirst(header)
        let pseudo =
            segment.connection.other.address + segment.connection.own.address
            + [0, 0, UInt8(tcp.count >> 8), UInt8(tcp.count & 0xff), 0, 0, 0, 6]
        var all = pseudo + tcp
        if all.count % 2 == 1 { all.append(0) }
        var sum: UInt32 = 0
        for index in stride(from: 0, to: all.count, by: 2) { sum += UInt32(all[index]) << 8 | UInt32(all[index + 1]) }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return sum == 0xffff
    }

    @Test(arguments: [0, 1, 2, 999, 16384], [false, true]) func withData(_ count: Int, _ isSix: Bool) {
        var segment = ForgedSegment(
            isSix ? Self.six : Self.four, sequence: 0x0102_0304, acknowledgement: 0x0506_0708, isFinal: false)
        segment.payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        segment.options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]
        let bytes = segment.bytes
        let (header, length) = isSix ? (40, 32 + count) : (20, 52 + count)
        let place = isSix ? 4 : 2
        #expect(Int(bytes[place]) << 8 | Int(bytes[place + 1]) == length && bytes.count == header + 32 + count)
        #expect(Array(bytes[header..<header + 12]) == [1, 2, 0x1b, 0x58, 1, 2, 3, 4, 5, 6, 7, 8])
        // Eight words of header, and ACK.
        #expect(bytes[header + 12] == 0x80 && bytes[header + 13] == 0x10)
        #expect(isWhole(segment))
    }

    @Test func flags() {
        func flags(_ change: (inout ForgedSegment) -> Void) -> UInt8 {
            var segment = ForgedSegment(Self.four, sequence: 1, acknowledgement: 2, isFinal: false)
            change(&segment)
            #expect(isWhole(segment))
            return segment.bytes[33]
        }
        #expect(flags { $0.isFirst = true } == 0x02)
        #expect(flags { $0.isFinal = true } == 0x11)
        #expect(flags { $0.isReset = true } == 0x14)
        #expect(flags { _ in } == 0x10)
    }
}
