import Linux
import Testing

struct ProcessorMaskTests {
    @Test(arguments: [
        ("0", [1]), ("0-1", [3]), ("7-8", [0x80, 1]), ("0-3,6,17", [0x4f, 0, 2]), ("15", [0, 0x80]),
    ])
    func asText(_ text: String, _ mask: [UInt8]) {
        #expect(ProcessorMask.parse(text) == mask)
        #expect(ProcessorMask.text(mask) == text)
    }

    @Test(arguments: ["", "x", "3-1", "-1", "1-2-3", "1-", "99999999"])
    func whatIsNoList(_ text: String) { #expect(ProcessorMask.parse(text) == nil) }

    @Test func common() {
        #expect(ProcessorMask.common([7, 1], [5]) == [5])
        #expect(ProcessorMask.online?.contains { $0 != 0 } == true)
    }
}
