public import Diagnostics
public import ImageMessages

/// A file that was deleted while it was in use, as the images hold it.
public struct GhostContent: Sendable {
    /// Owner, mode and times.
    public let entry: GhostFileEntry
    /// The image, from which the pieces are read.
    public let image: ImageFile
    /// What is no hole, in the order of the image.
    public let pieces: [Piece]
    /// The size of the file itself, in bytes.
    public let size: UInt64

    /// Bytes of the file that stand in one place of the image.
    public struct Piece: Sendable, Equatable {
        /// Where they are in the file.
        public var offset: UInt64
        /// Where they are in the image.
        public var place: UInt64
        public var count: UInt64
    }
}

extension ImageDirectory {
    /// Finds the content of a deleted file; nothing large is read.
    ///
    /// - Returns: nil where there is no such image.
    /// - Throws: `image-invalid` where a piece lies beyond the end of the file, and as ``records(_:id:)``.
    public func ghost(id: UInt32) throws(Problem) -> GhostContent? {
        let layout = ImageKind.ghostFile.layout
        guard let image = try file(named: layout.fileName(id: UInt64(id))) else { return nil }
        var cursor = FrameCursor(image)
        try cursor.passHeader(of: layout)
        let entry = try cursor.frame(GhostFileEntry.self)
        guard entry.chunks else {
            let piece = GhostContent.Piece(offset: 0, place: cursor.offset, count: cursor.remaining)
            return GhostContent(
                entry: entry, image: image, pieces: piece.count == 0 ? [] : [piece], size: piece.count)
        }
        var pieces: [GhostContent.Piece] = []
        while !cursor.isAtEnd {
            let chunk = try cursor.frame(GhostChunkEntry.self)
            guard chunk.off <= entry.size, chunk.len <= entry.size - chunk.off else {
                throw .image(.imageInvalid, image.path, "a piece lies beyond the end of the file")
            }
            pieces.append(.init(offset: chunk.off, place: cursor.offset, count: chunk.len))
            try cursor.skip(chunk.len)
        }
        return GhostContent(entry: entry, image: image, pieces: pieces, size: entry.size)
    }
}
