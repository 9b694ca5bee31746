import Diagnostics
import Glibc
import Images
import Linux
import SystemPackage
import Testing
import Tracing

@testable import Migration

@Suite struct ImageShipmentTests {
    private func withFolder(_ body: (FilePath) throws -> Void) throws {
        var template = Array("/tmp/apus-shipment.XXXXXX\0".utf8CString)
        try #require(unsafe mkdtemp(&template) != nil)
        let path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        defer {
            for entry in (try? Files.entries(of: path)) ?? [] {
                let child = path.appending(String(decoding: entry.name, as: UTF8.self))
                for inner in (try? Files.entries(of: child)) ?? [] {
                    try? Files.remove(child.appending(String(decoding: inner.name, as: UTF8.self)))
                }
                try? Files.remove(child)
                try? Files.remove(child, isDirectory: true)
            }
            try? Files.remove(path, isDirectory: true)
        }
        try body(path)
    }

    private func frame(_ name: String, size: UInt64, at position: UInt64 = 0, _ bytes: [UInt8] = []) -> [UInt8] {
        var body: [UInt8] = []
        body.append(littleEndian: UInt32(name.utf8.count))
        body += Array(name.utf8)
        body.append(littleEndian: size)
        body.append(littleEndian: position)
        return body + bytes
    }

    @Test func `files come in pieces, with their holes`() throws {
        try withFolder { path in
            let directory = try ImageDirectory(opening: path)
            try ImageShipment.take(frame("core-1.img", size: 5, [1, 2, 3]), into: directory)
            try ImageShipment.take(frame("core-1.img", size: 5, at: 3, [4, 5]), into: directory)
            try ImageShipment.take(frame("pages-1.img", size: 1 << 30), into: directory)
            try ImageShipment.take(frame("shared/pages-1.img", size: 1, [7]), into: directory)
            #expect(try Files.contents(of: path.appending("core-1.img")) == [1, 2, 3, 4, 5])
            #expect(try Files.status(of: path.appending("pages-1.img")).size == 1 << 30)
            #expect(try Files.contents(of: path.appending("shared/pages-1.img")) == [7])
            #expect(try Files.readLink(path.appending("parent")) == Array("shared".utf8))
        }
    }

    @Test(arguments: [
        "../core-1.img", "/etc/passwd", "", ".", "..", "a/b.img", "shared/../x.img", "files/a/b", "shared/",
        "co re.img",
        "core\n.img", ".hidden", "shared/files/x", String(repeating: "shared/", count: 200) + "x.img",
    ])
    func `names that lead elsewhere are refused`(_ name: String) throws {
        try withFolder { path in
            let directory = try ImageDirectory(opening: path)
            #expect(throws: Problem.self) { try ImageShipment.take(frame(name, size: 1, [1]), into: directory) }
            #expect(try Files.entries(of: path).isEmpty)
        }
    }

    @Test func `a link in the place of a file is not followed`() throws {
        try withFolder { path in
            let directory = try ImageDirectory(opening: path)
            try Files.makeLink(path.appending("core-1.img"), to: "/tmp/apus-shipment-never-made")
            #expect(throws: Problem.self) { try ImageShipment.take(frame("core-1.img", size: 1, [1]), into: directory) }
            #expect((try? Files.status(of: "/tmp/apus-shipment-never-made")) == nil)
        }
    }

    @Test func `pieces beyond the size are refused`() throws {
        try withFolder { path in
            let directory = try ImageDirectory(opening: path)
            for bad in [
                frame("a.img", size: 1, [1, 2]), frame("a.img", size: 4, at: 5),
                frame("a.img", size: 4, at: 3, [1, 2]),
                frame("a.img", size: 0, at: UInt64.max, [1]), Array(frame("a.img", size: 4).dropLast(3)),
            ] {
                #expect(throws: Problem.self) { try ImageShipment.take(bad, into: directory) }
            }
        }
    }
}
