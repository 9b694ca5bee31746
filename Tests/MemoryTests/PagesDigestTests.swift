import Diagnostics
import Images
import Linux
import SystemPackage
import Testing

@testable import Memory

/// The digest that is made while pages are written is that of the file.
struct PagesDigestTests {
    private static let pages: UInt64 = 600

    /// A page has its number in every byte.
    private struct Source: PageSource {
        func runs() throws(Problem) -> [StoredRun] {
            [StoredRun(address: 0, size: PagesDigestTests.pages * 4096, flags: .isPresent)]
        }
        func read(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
            var filled = 0
            for piece in pieces {
                for offset in 0..<piece.size {
                    unsafe buffer[filled] = UInt8(truncatingIfNeeded: (piece.address + offset) / 4096)
                    filled += 1
                }
            }
        }
    }

    private func withPagesFile(_ body: (ImageDirectory, PagesDescriptor, PagesDigest) throws -> Void) throws {
        let path = FilePath("/tmp/apus-digest-\(Processes.current)-\(UInt32.random(in: 0...UInt32.max))")
        try Files.makeDirectory(path, mode: 0o700)
        defer {
            try? Files.remove(path.appending("pages-1.img"))
            try? Files.remove(path, isDirectory: true)
        }
        let directory = try ImageDirectory(opening: path)
        try directory.makePagesFile(1, size: Self.pages * 4096)
        let digest = try #require(PagesDigest(of: 1, in: directory))
        try body(directory, PagesDescriptor(opening: 1, in: directory), digest)
    }

    private func ofFile(_ directory: ImageDirectory) throws -> ImageDigest? {
        try directory.file(named: "pages-1.img")?.digest()
    }

    @Test func whatIsWrittenInOrder() throws {
        try withPagesFile { directory, file, digest in
            let runs = try Source().runs().placed()
            try PageTransfer.move(runs, from: Source(), to: file, and: digest)
            let made = try #require(digest.finish(size: Self.pages * 4096))
            #expect(try made == ofFile(directory))
        }
    }

    /// Pages in the middle and at the end have been written before, as those are that a twin has not.
    @Test func whatWasThereBefore() throws {
        try withPagesFile { directory, file, digest in
            func run(_ pages: Range<UInt64>) -> PlacedRun {
                let start = pages.lowerBound * 4096
                let size = UInt64(pages.count) * 4096
                return PlacedRun(run: .init(address: start, size: size, flags: .isPresent), position: start)
            }
            try PageTransfer.move([run(300..<310), run(590..<600)], from: Source(), to: file)
            try PageTransfer.move([run(0..<300), run(310..<590)], from: Source(), to: file, and: digest)
            let made = try #require(digest.finish(size: Self.pages * 4096))
            #expect(try made == ofFile(directory))
        }
    }

    /// Nothing is claimed of what came in another order, or of a file that is shorter than it should be.
    @Test func whatCannotBeKnown() throws {
        try withPagesFile { _, file, digest in
            let runs = try Source().runs()
            let one = StoredRun(address: 0, size: 4096, flags: .isPresent)
            try PageTransfer.move([PlacedRun(run: one, position: 4096)], from: Source(), to: file, and: digest)
            try PageTransfer.move(runs.placed(), from: Source(), to: file, and: digest)
            #expect(digest.finish(size: Self.pages * 4096) == nil)
        }
        try withPagesFile { _, _, digest in #expect(digest.finish(size: (Self.pages + 1) * 4096) == nil) }
    }
}
