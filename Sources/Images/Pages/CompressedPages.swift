internal import CCompression
internal import Diagnostics
internal import ImageMessages
internal import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How the pages of a page map are stored that CRIU has compressed (`--compress`, `--compress-region`, in releases after
/// 4.2).
///
/// Each run is cut into blocks of one page, or of `region_pages` of them, the last of which may have fewer. They stand in
/// the pages file one behind the other: `compressed_size` has the bytes that each takes there. 0 stands for a block of
/// zeros, and as many bytes as the block has for one that is stored as it is; all others are blocks of LZ4 without a frame.
/// `total_compressed_size` is their sum. A run without such sizes is stored as in any other image. (From the comments of
/// CRIU's `images/pagemap.proto` and its manual page.)
struct CompressedPages: Sendable, Equatable {
    /// A run.
    struct Piece: Sendable, Equatable {
        /// Where its first page would be if nothing were compressed, in bytes.
        var offset: UInt64
        /// Where it is in the pages file.
        var place: UInt64
        var pages: UInt64
        /// How many pages a block has.
        var blockPages: UInt64
        /// The bytes of each block in the file; empty where the run is not compressed.
        var sizes: [UInt32]

        /// The bytes in the file.
        var storedSize: UInt64 { sizes.isEmpty ? pages * Pagemap.pageSize : sizes.reduce(0) { $0 + UInt64($1) } }

        /// The pages of a block.
        func pages(ofBlock index: Int) -> UInt64 { min(blockPages, pages - UInt64(index) * blockPages) }
    }

    /// In the order of the file.
    var pieces: [Piece]

    /// The most that CRIU makes one block of: 4 MiB.
    static let largestBlock: UInt64 = 1024

    /// How many bytes the pages file must have.
    var fileSize: UInt64 { pieces.last.map { $0.place + $0.storedSize } ?? 0 }
    /// How many bytes the pages have.
    var size: UInt64 { pieces.last.map { $0.offset + $0.pages * Pagemap.pageSize } ?? 0 }
}

extension CompressedPages.Piece {
    /// The sizes of an entry's blocks, checked.
    ///
    /// - Returns: nil for an entry whose pages are stored as they are.
    init?(
        checking entry: PagemapEntry, of run: Pagemap.Run, place: UInt64, in file: ImageFile
    ) throws(Problem) {
        if entry.compressedSize.isEmpty && !entry.hasTotalCompressedSize && !entry.hasRegionPages { return nil }
        func invalid(_ reason: String) -> Problem {
            .image(.imageInvalid, file.path, "the compressed run at 0x\(String(run.address, radix: 16)) \(reason)")
        }
        guard let offset = run.fileOffset else { throw invalid("is said not to be in the pages file") }
        let blockPages = entry.hasRegionPages && entry.regionPages > 0 ? UInt64(entry.regionPages) : 1
        guard blockPages <= CompressedPages.largestBlock else {
            throw invalid("has blocks of \(blockPages) pages, and the largest are of \(CompressedPages.largestBlock)")
        }
        let blocks = (run.pages - 1) / blockPages + 1
        guard UInt64(entry.compressedSize.count) == blocks else {
            throw invalid("has \(entry.compressedSize.count) sizes of blocks for \(blocks) blocks")
        }
        self.init(
            offset: offset, place: place, pages: run.pages, blockPages: blockPages, sizes: entry.compressedSize)
        for (index, size) in sizes.enumerated() where UInt64(size) > pages(ofBlock: index) * Pagemap.pageSize {
            throw invalid("has a block that is larger than its pages")
        }
        if entry.hasTotalCompressedSize, entry.totalCompressedSize != storedSize {
            throw invalid("has blocks of \(storedSize) bytes in all, and says \(entry.totalCompressedSize)")
        }
    }
}

extension CompressedPages {
    /// Writes the pages to a file, each where it would be if nothing were compressed. Zeros become holes.
    ///
    /// - Throws: `image-invalid` where a block is damaged; `image-truncated`, `image-unreadable`, `image-unwritable`.
    func expand(_ file: ImageFile, into output: Int32) throws(Problem) {
        do throws(Errno) { try Posix.truncate(output, to: size) } catch { throw Self.noRoom(file, error) }
        for piece in pieces {
            var (place, offset) = (piece.place, piece.offset)
            var index = 0
            while index < max(piece.sizes.count, 1) {
                // Some blocks at a time: most are small.
                var (stored, held) = (UInt64(0), UInt64(0))
                let first = index
                if piece.sizes.isEmpty {
                    try copy(file, at: place, to: output, at: offset, count: piece.storedSize)
                    break
                }
                while index < piece.sizes.count, held < 1 << 20 {
                    stored += UInt64(piece.sizes[index])
                    held += piece.pages(ofBlock: index) * Pagemap.pageSize
                    index += 1
                }
                if stored > 0 {
                    let bytes = try expand(piece, first..<index, file.bytes(at: place, count: stored), Int(held), file)
                    do throws(Errno) { try Posix.write(output, bytes, at: offset) } catch {
                        throw Self.noRoom(file, error)
                    }
                }
                place += stored
                offset += held
            }
        }
    }

    /// Blocks that follow each other.
    private func expand(
        _ piece: Piece, _ blocks: Range<Int>, _ input: [UInt8], _ size: Int, _ file: ImageFile
    ) throws(Problem) -> [UInt8] {
        var damaged: Int?
        // SAFETY: LZ4_decompress_safe reads no more and writes no more than the numbers of bytes that it is told, which lie
        // within both buffers: the sizes of the blocks add up to that of the input, and those of their pages to `size`.
        let output = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
            unsafe input.withUnsafeBytes { input in
                var place = 0
                for block in blocks {
                    let (stored, held) = (Int(piece.sizes[block]), Int(piece.pages(ofBlock: block) * Pagemap.pageSize))
                    let source = unsafe UnsafeRawBufferPointer(rebasing: input[place..<place + stored])
                    let target = unsafe UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(buffer)[filled..<filled + held])
                    if stored == 0 {
                        unsafe target.initializeMemory(as: UInt8.self, repeating: 0)
                    } else if stored == held {
                        unsafe target.copyMemory(from: source)
                    } else if unsafe LZ4_decompress_safe(
                        source.baseAddress, target.baseAddress, Int32(stored), Int32(held)) != held
                    {
                        damaged = block
                        return
                    }
                    place += stored
                    filled += held
                }
            }
        }
        if let damaged {
            let offset = piece.offset + UInt64(damaged) * piece.blockPages * Pagemap.pageSize
            throw .image(
                .imageInvalid, file.path,
                "the compressed block of the pages from \(offset / Pagemap.pageSize) on is damaged")
        }
        return output
    }

    private func copy(
        _ file: ImageFile, at place: UInt64, to output: Int32, at offset: UInt64, count: UInt64
    ) throws(Problem) {
        var done: UInt64 = 0
        while done < count {
            let amount = min(count - done, 1 << 20)
            let bytes = try file.bytes(at: place + done, count: amount)
            do throws(Errno) { try Posix.write(output, bytes, at: offset + done) } catch {
                throw Self.noRoom(file, error)
            }
            done += amount
        }
    }

    static func noRoom(_ file: ImageFile, _ error: Errno) -> Problem {
        .image(
            .imageUnwritable, file.path, "there is no place for its pages without their compression",
            cause: .init(error, attempted: "open(O_TMPFILE), ftruncate, pwrite"),
            remedy: "Let there be room beside the images, or set TMPDIR to a directory on a disk with enough of it")
    }
}
