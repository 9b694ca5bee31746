import Testing

@testable import Bundles

@Suite struct TarHeaderTests {
    @Test func `a header is read as it was written`() throws {
        for header in [
            TarHeader(kind: .file, path: "core-1.img", size: 1234, modified: 1_700_000_000),
            TarHeader(kind: .file, path: "pages-1.img", size: 9 << 30, modified: 0),
            TarHeader(kind: .directory, path: "shared/shared"),
            TarHeader(kind: .link, path: "parent", target: "shared"),
            TarHeader(kind: .file, path: String(repeating: "d", count: 90) + "/" + String(repeating: "f", count: 90)),
        ] {
            let bytes = try #require(header.bytes)
            #expect(try TarHeader.read(bytes) == header)
        }
    }

    @Test func `names that lead elsewhere are none`() {
        for path in ["", "/etc/passwd", "../x", "a/../../b", "a//b", "./a", "a/", ".", "..", "a\nb", "a b"] {
            #expect(!TarHeader.isGood(path), "\(path)")
        }
    }

    @Test func `zeros end an archive and a damaged header is refused`() throws {
        #expect(try TarHeader.read([UInt8](repeating: 0, count: 512)) == nil)
        var bytes = try #require(TarHeader(kind: .file, path: "a.img", size: 5).bytes)
        bytes[124] ^= 1
        #expect(throws: (any Error).self) { try TarHeader.read(bytes) }
    }
}
