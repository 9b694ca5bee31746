import Diagnostics
import Images
import Testing

@Suite("Supplement")
struct SupplementTests {
    @Test("What is told is read again, and belongs to the dump: listed, and cleared")
    func roundTrip() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let directory = try copy.open()
        var told = Supplement()
        told[.eventfd, 7 as UInt32] = ["semaphore": true]
        told[.clock, "realtime"] = .number(UInt64.max)
        told[.epoll, "1"] = ["watches": []]
        told[.epoll, "1"] = nil
        try directory.write(told)
        try directory.commit(toolVersion: "1", created: 1)
        #expect(try directory.supplement() == told)
        let images = try CheckpointImages(reading: directory)
        #expect(images.supplement[.eventfd, 7]?["semaphore"]?.isTrue == true)
        #expect(images.supplement[.clock, "realtime"]?.bits == UInt64.max)
        #expect(images.supplement.keys(of: .epoll) == [])
        #expect(images.manifest?.files.map(\.name).contains(Supplement.fileName) == true)
        try copy.remove(Supplement.fileName)
        #expect(throws: Problems.self) { try CheckpointImages(reading: directory) }
        try directory.write(told)
        try directory.clear()
        #expect(try !directory.fileNames().contains(Supplement.fileName))
    }

    @Test("Images without one tell nothing, and nothing to tell makes no file")
    func empty() throws {
        let copy = try TemporaryDirectory(copying: "count")
        try copy.open().write(Supplement())
        #expect(try !copy.open().fileNames().contains(Supplement.fileName))
        #expect(try copy.open().supplement().isEmpty)
    }

    @Test("What this version does not know, and what is no supplement, is refused")
    func refusals() throws {
        let copy = try TemporaryDirectory(copying: "count")
        func code(_ text: String) throws -> Problem.Code? {
            try copy.put(Array(text.utf8), Supplement.fileName)
            return #expect(throws: Problem.self) { try copy.open().supplement() }?.code
        }
        #expect(try code(#"{"version":1,"telepathy":{"1":true}}"#) == .imageVersion)
        for text in ["", "[]", "{}", #"{"version":2}"#, #"{"version":1,"eventfd":[]}"#] {
            #expect(try code(text) == .imageBadFrame, "\(text)")
        }
    }
}
