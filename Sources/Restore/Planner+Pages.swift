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

    /// Pages files that a task has open for a part of its batch: the results of the calls that opened them.
    typealias OpenPages = [PagesKey: Int]

    /// Reads the stored pages into the mappings of a task; those of the kernel's own mappings are left out.
    mutating func fill(
        _ segments: [PageLayers.Segment], _ vmas: [VmaEntry], of task: TaskImages, in batch: inout Batch
    ) {
        var opened = OpenPages()
        defer { for call in opened.values.sorted() { batch.call(Int(SYS_close), .result(call), for: "close pages") } }
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
                let file = pagesFile(of: segment, for: task, &opened, in: &batch)
                read(segment, of: file, from: start, to: stop, in: &batch)
                start = stop
                cursor += 1
            }
        }
    }

    /// The file that has the pages of a segment. A task opens its own for itself: what Apus opens every task inherits, and in a
    /// tree of a thousand each would have to close those of all others.
    private mutating func pagesFile(
        of segment: PageLayers.Segment, for task: TaskImages, _ opened: inout OpenPages, in batch: inout Batch
    ) -> Batch.Argument {
        // In a table that others fill at the same time its number could be taken away from it.
        guard segment.layer != PageLayers.Segment.elsewhere, !sharesTable(task),
            let name = layers.directories[segment.layer].nameOfPagesFile(segment.pagesID)
        else { return .signed(descriptor(of: segment)) }
        let key = PagesKey(layer: segment.layer, id: segment.pagesID)
        if let known = opened[key] { return .result(known) }
        let folder = descriptor(ofImages: segment.layer)
        let path = batch.string(Array(name.utf8))
        // It was looked at when the page map was read: it is a regular file.
        let call = batch.call(
            Int(SYS_openat), .signed(folder), .address(path), .int(Int(O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)),
            for: "open \(name)")
        opened[key] = call
        return .result(call)
    }

    mutating func read(_ segment: PageLayers.Segment, from start: UInt64, to end: UInt64, in batch: inout Batch) {
        let file = descriptor(of: segment)
        read(segment, of: .signed(file), from: start, to: end, in: &batch)
    }

    private func read(
        _ segment: PageLayers.Segment, of file: Batch.Argument, from start: UInt64, to end: UInt64,
        in batch: inout Batch
    ) {
        var start = start
        while start < end {
            let count = min(end - start, Self.largestRead)
            batch.call(
                Int(SYS_pread64), file, .value(start), .value(count),
                .value(segment.fileOffset + (start - segment.address)), expecting: Int64(count)...Int64(count),
                for: "read \(count / Pagemap.pageSize) pages at \(String(start, radix: 16))")
            start += count
        }
    }
}
