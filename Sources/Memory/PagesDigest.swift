internal import CLinux
public import Diagnostics
public import Images
internal import Linux
internal import Synchronization
internal import SystemPackage

/// The digest of a pages file, made of what is being written to it: to read the file once more would take as long as to
/// write it.
///
/// Pages have to come in the order of their places. Between them may lie what was written before, which is read.
public final class PagesDigest: PageSink {
    private struct State {
        var hasher = ContentHasher()
        /// Up to where the file is in the digest; nil where pages came in another order.
        var end: UInt64? = 0
    }

    private let state = Mutex(State())
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

    /// Adds bytes. Whatever keeps it from being done is seen at the end.
    @unsafe public func write(_ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(Problem) {
        // SAFETY: the bytes are borrowed for this call, and so they are for the closure.
        state.withLock { state in
            guard fill(&state, to: position) else { return }
            unsafe state.hasher.update(bytes)
            state.end = position + UInt64(bytes.count)
        }
    }

    /// Adds what stands in the file already before a place.
    private func fill(_ state: inout State, to position: UInt64) -> Bool {
        guard var end = state.end else { return false }
        state.end = nil
        while end < position {
            let count = Int(min(position - end, 1 << 20))
            guard let bytes = try? Files.read(file.raw, count: count, at: end), !bytes.isEmpty else { return false }
            state.hasher.update(bytes)
            end += UInt64(bytes.count)
        }
        guard end == position else { return false }
        state.end = end
        return true
    }

    /// The digest of the whole file.
    ///
    /// - Parameter size: of the file, in bytes.
    /// - Returns: nil where it has to be made by reading the file.
    public func finish(size: UInt64) -> ContentDigest? {
        state.withLock { state in fill(&state, to: size) ? state.hasher.finish() : nil }
    }
}
