internal import Checkpoint
internal import Diagnostics
internal import Images
internal import Tracing

/// What the body of a frame with pages says, but for the pages.
///
/// Of a `sparse` one the lowest bit of a size says that the piece is zeros: none of its bytes follow. Sizes are whole pages, whose
/// lowest bits say nothing else.
struct PageFrame {
    /// Pages that follow each other.
    struct Piece: Equatable {
        var address: UInt64
        /// In bytes.
        var size: UInt64
        var isZeros = false
    }

    let space: PageSpace
    let pieces: [Piece]
    /// Where the bytes of the pages begin in the body.
    let start: Int
    /// The bytes of all pages, those that are zeros included.
    let size: UInt64

    /// No frame has more bytes of pages, whether they follow or not.
    static let mostBytes = UInt64(Frame.longestBody)

    /// - Parameter isSparse: it may have pieces of zeros.
    /// - Throws: `protocol` for a body that is none.
    init(_ body: [UInt8], isSparse: Bool) throws(Problem) {
        var reader = BodyReader(body)
        space = try reader.space()
        let count = Int(try reader.word32())
        guard count <= PageBatch.mostPieces else { throw BodyReader.malformed }
        var (pieces, all, following): ([Piece], UInt64, UInt64) = ([], 0, 0)
        for _ in 0..<count {
            let (address, marked) = (try reader.word64(), try reader.word64())
            let isZeros = isSparse && marked & 1 != 0
            let size = isZeros ? marked - 1 : marked
            guard address % Pagemap.pageSize == 0, size % Pagemap.pageSize == 0, size > 0, size <= Self.mostBytes,
                address <= UInt64.max - size
            else { throw BodyReader.malformed }
            pieces.append(Piece(address: address, size: size, isZeros: isZeros))
            all += size
            if !isZeros { following += size }
        }
        guard all <= Self.mostBytes, following == UInt64(reader.rest) else { throw BodyReader.malformed }
        self.pieces = pieces
        size = all
        start = body.count - reader.rest
    }
}
