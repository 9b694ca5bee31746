public import Diagnostics
public import ImageMessages

/// Reads from the memory of a dumped process, through all parent directories.
public struct PageReader: Sendable {
    private let layers: PageLayers
    private let segments: [PageLayers.Segment]
    private let files: [Place: ImageFile]

    private struct Place: Hashable {
        let layer: Int
        let pagesID: UInt32
    }

    /// - Parameters:
    ///   - kind: `.pagemap` by pid, or `.shmemPagemap` by shared memory id.
    /// - Throws: as ``PageLayers/segments(_:id:)``.
    public init(
        _ layers: PageLayers, _ kind: ImageKind<PagemapEntry> = .pagemap, id: UInt64
    ) throws(Problem) {
        self.layers = layers
        segments = try layers.segments(kind, id: id)
        var files: [Place: ImageFile] = [:]
        for segment in segments {
            let place = Place(layer: segment.layer, pagesID: segment.pagesID)
            if files[place] != nil { continue }
            files[place] = try layers.directories[segment.layer].pagesFile(segment.pagesID)
        }
        self.files = files
    }

    /// Reads bytes at an address; nil where one of them is not in the images.
    ///
    /// - Throws: `image-truncated`, `image-unreadable`.
    public func bytes(at address: UInt64, count: UInt64) throws(Problem) -> [UInt8]? {
        var bytes: [UInt8] = []
        var next = address
        let (end, overflow) = address.addingReportingOverflow(count)
        guard !overflow else { return nil }
        while next < end {
            guard let segment = segment(at: next),
                let file = files[Place(layer: segment.layer, pagesID: segment.pagesID)]
            else { return nil }
            let inside = next - segment.address
            let part = min(end - next, segment.pages * Pagemap.pageSize - inside)
            bytes += try file.bytes(at: segment.fileOffset + inside, count: part)
            next += part
        }
        return bytes
    }

    /// The segment that holds an address, by halving.
    private func segment(at address: UInt64) -> PageLayers.Segment? {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            let segment = segments[middle]
            if address < segment.address {
                high = middle
            } else if address - segment.address >= segment.pages * Pagemap.pageSize {
                low = middle + 1
            } else {
                return segment
            }
        }
        return nil
    }
}
