public import Diagnostics
internal import SystemPackage

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
}
