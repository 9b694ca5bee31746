internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage

/// Writes the content of files that have no name any more.
enum GhostImages {
    private static let pieceSize: UInt64 = 4 << 20

    static func write(_ ghosts: GhostTable, into directory: ImageDirectory) throws(Problem) {
        for item in ghosts.items { try write(item, into: directory) }
        try directory.write(ghosts.remaps, as: .remaps)
    }

    private static func write(_ item: GhostTable.Item, into directory: ImageDirectory) throws(Problem) {
        var writer = try ImageWriter(creating: ImageKind.ghostFile.layout, id: UInt64(item.id), in: directory)
        do {
            guard item.status.kind == .regular else {
                try writer.append(entry(item, hasHoles: false))
                return try writer.finish()
            }
            let file = try Files.open(item.place, [.readOnly, .nonBlocking])
            let ranges = try Files.dataRanges(of: file.raw, size: item.status.size)
            let isWhole = ranges.count == 1 && ranges[0] == 0..<item.status.size
            try writer.append(entry(item, hasHoles: !isWhole && item.status.size > 0))
            for range in ranges {
                if !isWhole {
                    var chunk = GhostChunkEntry()
                    chunk.off = range.lowerBound
                    chunk.len = range.upperBound - range.lowerBound
                    try writer.append(chunk)
                }
                try copy(file.raw, range, item, into: &writer)
            }
        } catch let error as Problem {
            throw error
        } catch {
            throw Problem(
                .objectUnreadable, "the content of a deleted file cannot be read",
                object: .init(path: item.place.string),
                cause: .init(error as? Errno ?? .ioError, attempted: "open, lseek and read"), remedy: "Run Apus as root"
            )
        }
        try writer.finish()
    }

    private static func copy(
        _ file: Int32, _ range: Range<UInt64>, _ item: GhostTable.Item, into writer: inout ImageWriter
    ) throws {
        var position = range.lowerBound
        while position < range.upperBound {
            let count = min(pieceSize, range.upperBound - position)
            let bytes = try Files.read(file, count: Int(count), at: position)
            // Somebody outside has shortened it meanwhile.
            if bytes.count < Int(count) { throw Errno.ioError }
            try writer.append(raw: bytes)
            position += count
            try Cancellation.check()
        }
    }

    private static func entry(_ item: GhostTable.Item, hasHoles: Bool) -> GhostFileEntry {
        var entry = GhostFileEntry()
        let status = item.status
        entry.uid = status.uid
        entry.gid = status.gid
        entry.mode = UInt32(status.mode)
        // As the kernel itself keeps it: 20 bits for the minor number.
        entry.dev = status.device.major << 20 | status.device.minor
        entry.ino = status.inode
        entry.atim = time(status.accessed)
        entry.mtim = time(status.modified)
        if hasHoles {
            entry.chunks = true
            entry.size = status.size
        }
        return entry
    }

    private static func time(_ time: FileStatus.Time) -> Timeval {
        var value = Timeval()
        value.tvSec = UInt64(bitPattern: time.seconds)
        value.tvUsec = UInt64(time.nanoseconds / 1000)
        return value
    }
}
