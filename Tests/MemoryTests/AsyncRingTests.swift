import Memory
import Testing

@Suite struct AsyncRingTests {
    private func head(slots: UInt32 = 127, head: UInt32 = 120, tail: UInt32 = 13, magic: UInt32 = 0xa10a_10a1)
        -> [UInt8]
    {
        [7, slots, head, tail, magic, 1, 0, 32].flatMap { word in (0..<4).map { UInt8(word >> ($0 * 8) & 0xff) } }
    }

    @Test func eventsThatWrapAround() throws {
        let ring = try #require(AsyncRing(head(), size: 4096))
        #expect((ring.slots, ring.head, ring.tail, ring.unread) == (127, 120, 13, 20))
    }

    @Test func whatNoKernelMakes() {
        #expect(AsyncRing(head(), size: 8192) == nil)
        #expect(AsyncRing(head(slots: 128), size: 4096) == nil)
        #expect(AsyncRing(head(head: 127), size: 4096) == nil)
        #expect(AsyncRing(head(tail: 4_000_000_000), size: 4096) == nil)
        #expect(AsyncRing(head(magic: 0), size: 4096) == nil)
        #expect(AsyncRing(Array(head().dropLast()), size: 4096) == nil)
        #expect(AsyncRing(head(slots: .max), size: 0) == nil)
    }

    /// The kernel gives room for twice as many events as requests, and for four requests of each possible processor.
    @Test(
        arguments: [
            (1, 2, 1), (2, 2, 63), (5, 2, 255), (1, 8, 1), (1, 15, 1), (2, 16, 1), (5, 64, 1), (6, 64, 319),
            (512, 64, 32703),
        ] as [(UInt64, Int, UInt64)])
    func theFewestRequests(pages: UInt64, processors: Int, requests: UInt64) {
        #expect(AsyncRing.requests(forSize: pages << 12, processors: processors) == requests)
    }

    @Test func aHostWithManyProcessorsMakesNoSmallRing() {
        #expect(AsyncRing.requests(forSize: 4096, processors: 16) == nil)
        #expect(AsyncRing.requests(forSize: 4 << 12, processors: 64) == nil)
    }
}
