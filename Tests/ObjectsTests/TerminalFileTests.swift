import Testing

@testable import Objects

struct TerminalFileTests {
    /// As in the image of a terminal that CRIU has dumped: 19 bytes in the first words of 19.
    @Test func controlCharactersArePackedAsTheFormatHasThem() {
        let characters: [UInt8] = [
            3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0xf, 0x17, 0x16, 0, 0, 0,
        ]
        let words = TerminalFile.packed(characters)
        #expect(words.count == 19)
        #expect(Array(words.prefix(5)) == [360_651_779, 65540, 1_708_817, 370_609_938, 0])
        #expect(words.dropFirst(5).allSatisfy { $0 == 0 })
    }
}
