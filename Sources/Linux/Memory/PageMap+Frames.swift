public import SystemPackage

extension PageMap {
    /// The frames of the pages of a range that may be shared with another process: one number for each page, 0 for a
    /// page that is not present, is of a file, or is mapped once only (bits 63, 61 and 56 of proc_pid_pagemap(5)).
    ///
    /// A page and a frame that two processes name at the same time are the same memory. Frames are hidden (0) from one
    /// who lacks CAP_SYS_ADMIN.
    ///
    /// - Parameters:
    ///   - frames: is given as many numbers as the range has pages.
    /// - Throws: ESRCH when the process is gone.
    public func sharedFrames(_ range: Range<UInt64>, into frames: inout [UInt64]) throws(Errno) {
        let size = HostFacts.pageSize
        let count = Int((range.upperBound - range.lowerBound) / size)
        frames.removeAll(keepingCapacity: true)
        frames.reserveCapacity(count)
        let bytes = try Files.read(descriptor, count: count * 8, at: range.lowerBound / size * 8)
        unsafe bytes.withUnsafeBytes { buffer in
            // Every offset leaves room for the eight bytes of a word.
            for index in 0..<(buffer.count / 8) {
                let word = UInt64(littleEndian: unsafe buffer.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
                frames.append(word & Self.exclusions == Self.isPresent ? word & Self.frameBits : 0)
            }
        }
        while frames.count < count { frames.append(0) }
    }

    private static let isPresent: UInt64 = 1 << 63
    private static let isOfFile: UInt64 = 1 << 61
    private static let isMappedOnce: UInt64 = 1 << 56
    private static let exclusions = isPresent | isOfFile | isMappedOnce
    private static let frameBits: UInt64 = 1 << 55 - 1
}
