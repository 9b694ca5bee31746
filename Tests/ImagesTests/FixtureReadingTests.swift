import Diagnostics
import Images
import SwiftProtobuf
import SystemPackage
import Testing

@Suite("Images made by CRIU")
struct FixtureReadingTests {
    @Test(
        "Every file of every fixture is known, and is the same after it is read and written", arguments: Fixture.names)
    func rewriting(name: String) throws {
        let directory = try ImageDirectory(opening: Fixture.path(name))
        let copy = try TemporaryDirectory()
        let copied = try copy.open()
        var framed = 0
        for file in try directory.fileNames() {
            guard let (kind, _) = AnyImageKind.named(file) else {
                #expect(RawImage.named(file) != nil, "\(file) is of no known kind")
                continue
            }
            framed += 1
            let image = try #require(try directory.file(named: file))
            var writer = try ImageWriter(creating: kind.layout, id: kind.layout.id(inFileName: file) ?? 0, in: copied)
            for record in try kind.records(in: image) {
                try writer.append(record.entry)
                try writer.append(
                    raw: image.bytes(at: record.payload.lowerBound, count: UInt64(record.payload.count)))
            }
            try writer.finish()
            #expect(try copy.get(file) == readFile(Fixture.path(name).appending(file)), "\(file)")
        }
        #expect(framed >= 10)
    }
}
