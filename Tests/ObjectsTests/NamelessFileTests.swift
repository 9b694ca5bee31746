import Foundation
import Linux
import SystemPackage
import Testing

@testable import Objects

/// Files that had lost their names are made anew wherever files can be made.
@Suite struct NamelessFileTests {
    private func withFolder(_ body: (FilePath) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-nameless-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(FilePath(folder.path))
    }

    @Test(arguments: [true, false])
    func isShownUnderItsName(_ withoutName: Bool) throws {
        try withFolder { folder in
            let file = try NamelessFile.make(
                folder.appending("gone"), or: folder.appending("x"), withoutName: withoutName)
            try Files.write(file.writer.raw, Array("content".utf8), at: 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.string) == [])
            let reader = try file.reader()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.string) == [])
            let link = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(reader.raw)")
            #expect(link == "\(folder)/gone (deleted)")
            #expect(try Files.read(reader.raw, count: 20, at: 0) == Array("content".utf8))
            // Nobody has it open for writing any more: others may be opened through it as they please.
            let again = try Files.open(FilePath("/proc/self/fd/\(reader.raw)"), .readWrite)
            #expect(try Files.status(ofDescriptor: again.raw).linkCount == 0)
        }
    }

    /// Another file that has the name keeps it.
    @Test(arguments: [true, false])
    func leavesOthersAlone(_ withoutName: Bool) throws {
        try withFolder { folder in
            try Data("another".utf8).write(to: URL(filePath: "\(folder)/gone"))
            let file = try NamelessFile.make(
                folder.appending("gone"), or: folder.appending("gone.apus-1"), withoutName: withoutName)
            let reader = try file.reader()
            let link = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(reader.raw)")
            #expect(link == "\(folder)/gone.apus-1 (deleted)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.string) == ["gone"])
            #expect(try Data(contentsOf: URL(filePath: "\(folder)/gone")) == Data("another".utf8))
        }
    }
}
