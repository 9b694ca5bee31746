public import Images
internal import Linux
internal import SystemPackage

/// The digest of a pages file, made of what is being written to it: to read the file once more would take as long as to
/// write it.
///
/// Pages have to come in the order of their places. Between them may lie what was written before, which is read.
public final class PagesDigest {
    private var hasher = ImageHasher()
    /// Up to where the file is in the digest; nil where pages came in another order.
    private var end: UInt64? = 0
    private let file: OwnedDescriptor

    /// - Parameters:
    ///   - id: of a pages file that was made before.
    /// - Returns: nil where it cannot be opened.
    public init?(of id: UInt32, in directory: ImageDirectory) {
        let name = RawImage.pages.layout.fileName(id: UInt64(id))
        guard let file = try? Files.open(FilePath(name), [.readOnly, .noFollow], at: directory.descriptor) else {
            return nil
        }
        self.file = file
    }

    /// Adds bytes that are written, or about to be. Whatever keeps it from being done is seen at the end.
    @unsafe func add(_ bytes: UnsafeRawBufferPointer, at position: UInt64) {
        guard fill(to: position) else { return }
        unsafe hasher.update(bytes)
        end = position + UInt64(bytes.count)
    }

    /// Adds what stands in the file already before a place.
    private func fill(to position: UInt64) -> Bool {
        guard var end else { return false }
        self.end = nil
        while end < position {
            let count = Int(min(position - end, 1 << 20))
            guard let bytes = try? Files.read(file.raw, count: count, at: end), !bytes.isEmpty else { return false }
            hasher.update(bytes)
            end += UInt64(bytes.count)
        }
        guard end == position else { return false }
        self.end = end
        return true
    }

    /// The digest of the whole file, when all of it is written.
    ///
    /// - Parameter size: of the file, in bytes.
    /// - Returns: nil where it has to be made by reading the file.
    public func finish(size: UInt64) -> ImageDigest? { fill(to: size) ? hasher.finish() : nil }
}

@available(*, unavailable)
extension PagesDigest: Sendable {}
