import CCompression
import Glibc
import ImageMessages
import Images
import SystemPackage

/// Images with their pages compressed as CRIU's releases after 4.2 do it.
enum CompressedImages {
    /// Compresses the pages of an image directory, and of the one that it builds upon. Its manifest, which would know better,
    /// is removed.
    ///
    /// - Parameter region: the pages of a block; nil for one block for each page.
    /// - Returns: the bytes of the pages before and after.
    static func compress(_ path: String, region: UInt32?) throws -> (before: UInt64, after: UInt64) {
        var sum = try compress(directory: path, region: region)
        if names(in: path).contains("shared") {
            let more = try compress(directory: path + "/shared", region: region)
            sum = (sum.0 + more.0, sum.1 + more.1)
        }
        let directory = try ImageDirectory(opening: FilePath(path))
        var inventory = try directory.required(.inventory)
        inventory.compress = region == nil ? 1 : 2
        try replace("inventory.img", in: path)
        var writer = try ImageWriter(creating: ImageKind.inventory.layout, in: directory)
        try writer.append(inventory)
        try writer.finish()
        try replace("manifest.json", in: path)
        return sum
    }

    private static func compress(directory path: String, region: UInt32?) throws -> (UInt64, UInt64) {
        let directory = try ImageDirectory(opening: FilePath(path))
        var files: [UInt32: (bytes: [UInt8], sizes: [[UInt32]])] = [:]
        var before: UInt64 = 0
        for name in try directory.fileNames() {
            for kind in [ImageKind.pagemap, .shmemPagemap] {
                guard let id = kind.layout.id(inFileName: name), let map = try directory.pagemap(kind, id: id) else {
                    continue
                }
                let stored = map.runs.filter { $0.fileOffset != nil }
                if files[map.pagesID] == nil, !stored.isEmpty {
                    let pages = try directory.pagesFile(map.pagesID)
                    before += pages.size
                    files[map.pagesID] = try compress(stored, of: pages, region: region)
                }
                try replace(name, in: path)
                var writer = try ImageWriter(creating: kind.layout, id: id, in: directory)
                var head = PagemapHead()
                head.pagesID = map.pagesID
                try writer.append(head)
                var number = 0
                for run in map.runs {
                    var entry = PagemapEntry()
                    entry.vaddr = run.address
                    entry.compatNrPages = UInt32(run.pages)
                    entry.nrPages = run.pages
                    entry.flags = run.flags.rawValue
                    if run.fileOffset != nil, let sizes = files[map.pagesID]?.sizes[number] {
                        entry.compressedSize = sizes
                        entry.totalCompressedSize = sizes.reduce(0) { $0 + UInt64($1) }
                        if let region { entry.regionPages = region }
                        number += 1
                    }
                    try writer.append(entry)
                }
                try writer.finish()
            }
        }
        for (id, file) in files {
            let output = try FileDescriptor.open(FilePath("\(path)/pages-\(id).img"), .writeOnly, options: .truncate)
            _ = try output.closeAfter { try output.writeAll(file.bytes) }
        }
        return (before, files.values.reduce(0) { $0 + UInt64($1.bytes.count) })
    }

    private static func compress(
        _ runs: [Pagemap.Run], of file: ImageFile, region: UInt32?
    ) throws -> ([UInt8], [[UInt32]]) {
        var (bytes, sizes): ([UInt8], [[UInt32]]) = ([], [])
        for run in runs {
            guard let offset = run.fileOffset else { continue }
            var blocks: [UInt32] = []
            var place: UInt64 = 0
            while place < run.size {
                let count = min(UInt64(region ?? 1) * Pagemap.pageSize, run.size - place)
                let block = packed(try file.bytes(at: offset + place, count: count))
                blocks.append(UInt32(block.count))
                bytes += block
                place += count
            }
            sizes.append(blocks)
        }
        return (bytes, sizes)
    }

    /// Nothing for zeros, and what does not become smaller as it is.
    private static func packed(_ block: [UInt8]) -> [UInt8] {
        if block.allSatisfy({ $0 == 0 }) { return [] }
        var output = [CChar](repeating: 0, count: block.count)
        // SAFETY: the library reads and writes no more than the numbers of bytes that it is told.
        let size = unsafe block.withUnsafeBytes {
            unsafe LZ4_compress_default(
                $0.baseAddress?.assumingMemoryBound(to: CChar.self), &output, Int32(block.count), Int32(block.count - 1)
            )
        }
        return size > 0 ? output.prefix(Int(size)).map { UInt8(bitPattern: $0) } : block
    }

    private static func replace(_ name: String, in path: String) throws {
        // SAFETY: the string lives as long as the call.
        guard unsafe unlink(path + "/" + name) == 0 else { throw Errno(rawValue: errno) }
    }
}
