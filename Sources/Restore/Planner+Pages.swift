internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What the mappings hold.
extension Planner {
    private static let largestRead: UInt64 = 0x4000_0000

    /// Reads the stored pages into the mappings; those of the kernel's own mappings are left out.
    mutating func fill(_ segments: [PageLayers.Segment], _ vmas: [VmaEntry], in batch: inout Batch) {
        var index = 0
        let sorted = vmas.sorted { $0.start < $1.start }
        for segment in segments {
            var start = segment.address
            let end = segment.address + segment.pages * Pagemap.pageSize
            while index < sorted.count, sorted[index].end <= start { index += 1 }
            var cursor = index
            while start < end, cursor < sorted.count, sorted[cursor].start < end {
                // Neighbouring mappings are filled in one go.
                start = max(start, sorted[cursor].start)
                var stop = min(end, sorted[cursor].end)
                while stop < end, cursor + 1 < sorted.count, sorted[cursor + 1].start == stop {
                    cursor += 1
                    stop = min(end, sorted[cursor].end)
                }
                read(segment, from: start, to: stop, in: &batch)
                start = stop
                cursor += 1
            }
        }
    }

    mutating func read(_ segment: PageLayers.Segment, from start: UInt64, to end: UInt64, in batch: inout Batch) {
        let file = descriptor(of: segment)
        var start = start
        while start < end {
            let count = min(end - start, Self.largestRead)
            batch.call(
                Int(SYS_pread64), .signed(file), .value(start), .value(count),
                .value(segment.fileOffset + (start - segment.address)), expecting: Int64(count)...Int64(count),
                for: "read \(count / Pagemap.pageSize) pages at \(String(start, radix: 16))")
            start += count
        }
    }
}
