public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage

/// A run of pages, and where it belongs in the pages file.
public struct PlacedRun: Sendable, Equatable {
    public var run: StoredRun
    /// In bytes; of no meaning for a run that is not present.
    public var position: UInt64

    public init(run: StoredRun, position: UInt64) {
        self.run = run
        self.position = position
    }
}

extension [StoredRun] {
    /// One after another, as they stand in a pages file.
    public func placed() -> [PlacedRun] {
        var position: UInt64 = 0
        return map { run in
            defer { if run.flags.contains(.isPresent) { position += run.size } }
            return PlacedRun(run: run, position: position)
        }
    }

    /// How many bytes of a pages file they take.
    public var storedSize: UInt64 { reduce(0) { $0 + ($1.flags.contains(.isPresent) ? $1.size : 0) } }
}

/// A pages file that was made, and is filled in any order.
public final class PagesDescriptor: PageSink {
    private let file: OwnedDescriptor
    private let writeback: Writeback?

    /// Opens one that was made before.
    ///
    /// - Parameter durable: somebody will wait for the disk, which begins meanwhile.
    /// - Throws: `image-unwritable`.
    public init(opening id: UInt32, in directory: ImageDirectory, durable: Bool = false) throws(Problem) {
        let name = RawImage.pages.layout.fileName(id: UInt64(id))
        do throws(Errno) {
            file = try Files.open(FilePath(name), [.writeOnly, .noFollow], at: directory.descriptor)
        } catch {
            throw Problem(
                .pagesUnwritable, "the file for the memory cannot be opened",
                object: .init(path: directory.path.appending(name).string),
                cause: .init(error, attempted: "openat"), remedy: "See that nobody else works in the image directory")
        }
        writeback = durable ? Writeback(of: file.raw) : nil
    }

    /// Writes bytes at a place of the file.
    ///
    /// - Throws: `image-unwritable`.
    @unsafe public func write(_ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(Problem) {
        do throws(Errno) {
            try unsafe Files.write(file.raw, from: bytes, at: position)
            writeback?.isFilled(to: position + UInt64(bytes.count))
        } catch {
            throw Problem(
                .pagesUnwritable, "the memory cannot be written to the images",
                object: .init(path: Self.name(of: file.raw)),
                cause: .init(error, attempted: "pwrite(\(bytes.count) bytes)"),
                remedy: "Make room on the disk, or name a directory on another one with --images-dir")
        }
    }

    /// Where an open file is.
    private static func name(of file: Int32) -> String? {
        (try? Files.readLink(FilePath("/proc/self/fd/\(file)"))).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension Problem.Code {
    static let pagesUnwritable: Self = "image-unwritable"
}
