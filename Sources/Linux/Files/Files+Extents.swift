public import SystemPackage

extension Files {
    /// The parts of a file that hold data, in bytes from its start and in their order (SEEK_DATA and SEEK_HOLE of
    /// lseek(2)). On shared memory (memfd, `/dev/shm`, `/proc/PID/map_files` of shared anonymous memory) these are the
    /// pages that somebody has touched, whether present or swapped out.
    ///
    /// A file system that does not know holes reports the whole file. The position of the description changes.
    ///
    /// - Parameter size: the file's size, in bytes; what grows meanwhile is left out.
    public static func dataRanges(of descriptor: Int32, size: UInt64) throws(Errno) -> [Range<UInt64>] {
        let (data, hole): (Int32, Int32) = (3, 4)
        var ranges: [Range<UInt64>] = []
        var end: UInt64 = 0
        while end < size {
            let start: UInt64
            do throws(Errno) {
                start = try seek(descriptor, to: Int64(end), whence: data)
            } catch .noSuchAddressOrDevice {
                // ENXIO: nothing but a hole up to the end.
                break
            }
            if start >= size { break }
            end = min(try seek(descriptor, to: Int64(start), whence: hole), size)
            // The file may shrink between the two calls.
            if end <= start { break }
            ranges.append(start..<end)
        }
        return ranges
    }
}
