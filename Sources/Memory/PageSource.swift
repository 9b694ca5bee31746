public import Diagnostics
public import Images

/// Pages that have content of their own, one after another.
public struct StoredRun: Sendable, Equatable {
    /// The address of the first page; of shared memory, its offset.
    public var address: UInt64
    /// In bytes, whole pages.
    public var size: UInt64
    /// How the images describe them.
    public var flags: Pagemap.Flags

    public init(address: UInt64, size: UInt64, flags: Pagemap.Flags) {
        self.address = address
        self.size = size
        self.flags = flags
    }
}

/// Where pages come from.
public protocol PageSource {
    /// The runs, in the order of their addresses, without overlap.
    func runs() throws(Problem) -> [StoredRun]

    /// Fills the buffer with pieces of the runs, one after another.
    @unsafe func read(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem)
}

/// Where pages go. Another thread than the one that reads them may bring them.
public protocol PageSink: Sendable {
    /// Writes bytes at their place.
    @unsafe func write(_ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(Problem)
}
