public import Diagnostics
internal import Images
internal import Linux
public import SystemPackage

/// The memory of a process that is made before its images are complete (``EarlyRoot``), as far as pages can be put
/// into it already: its own, and those of its descendants, at the addresses at which they will have them.
public final class EarlyMemory: Sendable {
    /// What can take pages, by the process that they are of, sorted by address. No two processes have the same address.
    public let ranges: [Int32: [Range<UInt64>]]
    private let file: OwnedDescriptor

    /// - Parameters:
    ///   - pid: the process that has the memory.
    ///   - ranges: for whom.
    /// - Throws: the error of open(2) of `/proc/PID/mem`.
    init(of pid: Int32, _ ranges: [Int32: [Range<UInt64>]]) throws(Errno) {
        self.ranges = ranges
        file = try Files.open(FilePath("/proc/\(pid)/mem"), .readWrite)
    }

    /// Cuts a range of a process into what lies in this memory and what does not.
    public func cut(_ range: Range<UInt64>, of pid: Int32) -> [(part: Range<UInt64>, isInside: Bool)] {
        var parts: [(part: Range<UInt64>, isInside: Bool)] = []
        var start = range.lowerBound
        for known in (ranges[pid] ?? []).overlapping(range, by: { $0 }) {
            let inside = known.clamped(to: range)
            if inside.lowerBound > start { parts.append((start..<inside.lowerBound, false)) }
            parts.append((inside, true))
            start = inside.upperBound
        }
        if start < range.upperBound { parts.append((start..<range.upperBound, false)) }
        return parts
    }

    /// Puts pages into their place.
    ///
    /// - Throws: the error of a write to `/proc/PID/mem`: EIO where the process has gone or there is no memory.
    @unsafe public func write(_ bytes: UnsafeRawBufferPointer, at address: UInt64) throws(Errno) {
        try unsafe Files.write(file.raw, from: bytes, at: address)
    }

    /// Reads pages that were put there.
    public func read(_ range: Range<UInt64>) throws(Errno) -> [UInt8] {
        let bytes = try Files.read(file.raw, count: Int(range.upperBound - range.lowerBound), at: range.lowerBound)
        guard bytes.count == Int(range.upperBound - range.lowerBound) else { throw .ioError }
        return bytes
    }
}

/// Knows which pages have been put into an ``EarlyMemory``.
public protocol EarlyPages: AnyObject {
    /// The pages of a process that are there, sorted by address.
    func pagesInPlace(of pid: Int32) -> [Range<UInt64>]

    /// Fetches back what of the pages of a process cannot stay there.
    ///
    /// - Parameters:
    ///   - pid: the process.
    ///   - kept: where pages may stay, sorted by address.
    ///   - wanted: where they are needed at all, sorted by address; what is neither here nor there is forgotten.
    /// - Throws: where they cannot be read, or there is no memory for them.
    func fetchBack(of pid: Int32, besides kept: [Range<UInt64>], wanted: [Range<UInt64>]) throws(Problem)
}
