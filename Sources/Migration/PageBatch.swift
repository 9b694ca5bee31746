internal import Checkpoint
internal import Diagnostics
internal import Glibc
internal import Images
internal import Memory
internal import Tracing

/// Pages of one space on their way into a frame: read, freed of those that are zeros, and put behind their head.
struct PageBatch: Sendable {
    /// No frame has more pieces.
    static let mostPieces = 512
    /// How many bytes of pages a frame has at the most, when it is sent.
    static let largest: UInt64 = 1 << 20
    /// For the space, the number of pieces, and the pieces, of which there are no more than pages or pieces that were asked for.
    private static let roomForHead = 16 + 16 * mostPieces
    private static let pageSize = Int(Pagemap.pageSize)

    private let space: PageSpace
    private(set) var pieces: [PageFrame.Piece]
    /// The bytes of all pages, and of those that are zeros.
    private(set) var (size, zeros): (UInt64, UInt64)
    /// The room for the head, and the pages.
    private var bytes: [UInt8]
    /// Where the body lies in the bytes.
    private var body = 0..<0

    /// - Parameters:
    ///   - pieces: at most as many and as large as a frame may have.
    ///   - buffer: of an earlier batch that is not needed any more.
    /// - Throws: what the source throws.
    init(
        _ pieces: [StoredRun], of space: PageSpace, from source: some PageSource, using buffer: [UInt8] = []
    ) throws(Problem) {
        self.space = space
        self.pieces = pieces.map { .init(address: $0.address, size: $0.size) }
        size = pieces.reduce(0) { $0 + $1.size }
        zeros = 0
        precondition(size <= Self.largest && pieces.count <= Self.mostPieces, "batches are cut before")
        let whole = Self.roomForHead + Int(Self.largest)
        bytes = buffer.count == whole ? buffer : [UInt8](repeating: 0, count: whole)
        let range = Self.roomForHead..<Self.roomForHead + Int(size)
        try unsafe bytes.withUnsafeMutableBytes { bytes -> Result<Void, Problem> in
            Result { () throws(Problem) in
                // The range lies within the buffer: it has room for a whole batch behind that of the head.
                try unsafe source.read(pieces, into: UnsafeMutableRawBufferPointer(rebasing: bytes[range]))
            }
        }.get()
    }

    /// Leaves out the pages that are zeros, and writes the head.
    ///
    /// - Returns: the kind of the frame.
    mutating func seal() -> Frame.Kind {
        leaveOutZeros()
        let kind: Frame.Kind = zeros > 0 ? .sparse : .pages
        var head: [UInt8] = []
        space.append(to: &head)
        head.append(littleEndian: UInt32(pieces.count))
        for piece in pieces {
            head.append(littleEndian: piece.address)
            head.append(littleEndian: piece.isZeros ? piece.size | 1 : piece.size)
        }
        let start = Self.roomForHead - head.count
        bytes.replaceSubrange(start..<Self.roomForHead, with: head)
        body = start..<Self.roomForHead + Int(size - zeros)
        return kind
    }

    /// The body of the frame, of a batch that is sealed.
    func withBody<Value>(_ use: (UnsafeRawBufferPointer) throws(Problem) -> Value) throws(Problem) -> Value {
        let body = body
        return try unsafe bytes.withUnsafeBytes { bytes -> Result<Value, Problem> in
            Result { () throws(Problem) in try unsafe use(UnsafeRawBufferPointer(rebasing: bytes[body])) }
        }.get()
    }

    /// The buffer, for another batch.
    consuming func takeBuffer() -> [UInt8] { bytes }

    /// A page that is zeros costs a mark, and one piece where it stands alone; those that follow each other are one.
    private mutating func leaveOutZeros() {
        var found: [PageFrame.Piece] = []
        let old = pieces
        let zeros = unsafe bytes.withUnsafeMutableBytes { bytes -> Int in
            var (place, end, zeros) = (Self.roomForHead, Self.roomForHead, 0)
            for piece in old {
                var address = piece.address
                let limit = piece.address + piece.size
                var run = PageFrame.Piece(address: address, size: 0)
                while address < limit {
                    // Each page that is looked at lies within what was read.
                    let page = unsafe UnsafeRawBufferPointer(rebasing: bytes[place..<place + Self.pageSize])
                    let isZeros = unsafe Self.isZeros(page)
                    if isZeros != run.isZeros || run.size == 0 {
                        if run.size > 0 { found.append(run) }
                        run = PageFrame.Piece(address: address, size: 0, isZeros: isZeros)
                    }
                    run.size += Pagemap.pageSize
                    if isZeros {
                        zeros += Self.pageSize
                    } else {
                        if end != place {
                            unsafe bytes.baseAddress.map { unsafe _ = memmove($0 + end, $0 + place, Self.pageSize) }
                        }
                        end += Self.pageSize
                    }
                    place += Self.pageSize
                    address += Pagemap.pageSize
                }
                if run.size > 0 { found.append(run) }
            }
            return zeros
        }
        // Without zeros the pieces are those that there were.
        if zeros == 0 { return }
        self.zeros = UInt64(zeros)
        pieces = found
    }

    /// Most pages that are not show it in their first bytes.
    private static func isZeros(_ page: UnsafeRawBufferPointer) -> Bool {
        guard let start = page.baseAddress, unsafe start.load(as: UInt64.self) == 0 else { return false }
        // Equal to itself a little further on, all of it is equal to its beginning.
        return unsafe memcmp(start, start + 8, page.count - 8) == 0
    }
}
