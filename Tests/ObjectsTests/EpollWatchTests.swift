import Diagnostics
import Images
import Objects
import Testing

/// What a supplement says of an epoll set is checked like all else that images say.
@Suite struct EpollWatchTests {
    private func watches(_ type: JSON, _ number: JSON = 5) throws(Problem) -> [EpollWatch] {
        var entry = EventpollFileEntry()
        entry.id = 3
        var watch = EventpollTfdEntry()
        watch.id = 3
        watch.tfd = 5
        watch.events = 1
        watch.data = 7
        entry.tfd = [watch]
        var supplement = Supplement()
        supplement[.epoll, 3] = ["watches": [["fd": number, "type": type, "id": 9]]]
        return try EpollWatch.all(of: entry, supplement)
    }

    @Test func aWatchThatIsTold() throws {
        let found = try watches(.integer(Int64(FdTypes.pipe.rawValue)))
        #expect(found.count == 1 && found[0].target?.type == .pipe && found[0].target?.id == 9)
    }

    /// Found by the fuzzer: a number above those of Int.
    @Test(arguments: [JSON.unsigned(1 << 63), .unsigned(.max), .integer(-1), .integer(12345), .string("1"), .null])
    func aTypeThatIsNone(_ type: JSON) {
        #expect(throws: Problem.self) { try watches(type) }
    }
}
