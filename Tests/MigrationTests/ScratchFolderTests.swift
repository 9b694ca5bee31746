import SystemPackage
import Testing

@testable import Migration

/// Where the images of a tree lie that is on its way.
@Suite("Scratch folders")
struct ScratchFolderTests {
    @Test func whereThereIsRoomComesFirst() {
        let room: [FilePath: UInt64] = ["/dev/shm": 1 << 20, "/run": 64 << 20, "/tmp": 1 << 40]
        #expect(ScratchFolder.order(ScratchFolder.places, room: { room[$0] }) == ["/run", "/tmp", "/dev/shm"])
        #expect(ScratchFolder.order(ScratchFolder.places, room: { _ in nil }) == ScratchFolder.places)
        #expect(ScratchFolder.order(ScratchFolder.places, room: { _ in .max }) == ScratchFolder.places)
    }
}
