public import Diagnostics
internal import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension ImageDirectory {
    /// Makes a pages file of zeros, to be filled by whoever moves the pages.
    ///
    /// - Parameters:
    ///   - id: unique in the directory, from 1.
    ///   - size: in bytes.
    /// - Throws: `image-unwritable`.
    public func makePagesFile(_ id: UInt32, size: UInt64) throws(Problem) {
        let file = try ImageWriter(creating: RawImage.pages.layout, id: UInt64(id), in: self)
        do throws(Errno) {
            try Posix.truncate(file.descriptor, to: size)
        } catch {
            throw .unwritable(file.path, error, attempted: "ftruncate(\(size))")
        }
        try file.finish()
    }

    /// The file with the pages of page maps, each where ``Pagemap/Run/fileOffset`` says: where they are compressed, a file
    /// without a name that has them as they were. It is made when it is first asked for, and stays as long as the directory.
    ///
    /// - Parameter id: of a page map that was read from this very object.
    /// - Throws: `image-missing`, `image-unreadable`, `image-not-regular`; of compressed pages `image-invalid`,
    ///   `image-truncated`, `image-unwritable`.
    public func pagesFile(_ id: UInt32) throws(Problem) -> ImageFile {
        guard let compressed = compressedPages(id) else { return try storedPagesFile(id) }
        if let file = compressed.expanded { return file }
        let stored = try storedPagesFile(id)
        let output: Int32
        do throws(Errno) { output = try nameless() } catch { throw CompressedPages.noRoom(stored, error) }
        let file = ImageFile(expanding: stored, into: output, size: compressed.pages.size)
        try compressed.pages.expand(stored, into: output)
        return keep(file, as: id)
    }

    /// The name in the directory of what ``pagesFile(_:)`` gives; nil where that has no name, because the pages are compressed.
    public func nameOfPagesFile(_ id: UInt32) -> String? {
        compressedPages(id) == nil ? RawImage.pages.layout.fileName(id: UInt64(id)) : nil
    }

    /// Makes what ``pagesFile(_:)`` makes where pages are compressed, for all page maps that were read.
    ///
    /// - Throws: as ``pagesFile(_:)``.
    func expandPages() throws(Problem) {
        for id in compressedPageFiles { _ = try pagesFile(id) }
    }

    /// The pages file as it is.
    func storedPagesFile(_ id: UInt32) throws(Problem) -> ImageFile {
        if let file = try file(.pages, id: UInt64(id)) { return file }
        throw .image(
            .imageMissing, path.appending(RawImage.pages.layout.fileName(id: UInt64(id))),
            "the file with the memory pages is missing")
    }

    /// A file without a name: beside the images, where there is room for such things, or else in `$TMPDIR` or `/var/tmp`.
    private func nameless() throws(Errno) -> Int32 {
        // SAFETY: a C string that is copied at once.
        let named = unsafe getenv("TMPDIR").map { unsafe FilePath(platformString: $0) }
        do throws(Errno) { return try Posix.openNameless(".", in: descriptor) } catch {
            return try Posix.openNameless(named ?? "/var/tmp", in: AT_FDCWD)
        }
    }
}
