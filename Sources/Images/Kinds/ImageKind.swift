public import Diagnostics
internal import ImageMessages
public import SwiftProtobuf

/// A kind of image file: its name, its header, the message that it repeats, and the raw bytes behind each message.
///
/// The kinds are constants of this type, listed by subject in the files beside this one.
public struct ImageKind<Entry: Message>: Sendable {
    public let layout: ImageLayout

    /// Moves the cursor past the raw bytes that belong to an entry, checking all that stands in them.
    let passPayload: @Sendable (Entry, inout FrameCursor) throws(Problem) -> Void

    init(
        _ kind: String, _ pattern: String, _ header: ImageLayout.Header,
        payload: @escaping @Sendable (Entry, inout FrameCursor) throws(Problem) -> Void = { _, _ in }
    ) {
        layout = ImageLayout(kind, pattern, header)
        passPayload = payload
    }
}

/// One message of an image file, and where the raw bytes behind it are.
public struct ImageRecord<Entry: Message>: Sendable {
    public var entry: Entry
    /// The bytes of the file that belong to the entry; empty for most kinds.
    public var payload: Range<UInt64>
}

extension ImageKind {
    /// Reads all of a file's records.
    ///
    /// - Throws: `image-bad-magic`, `image-truncated`, `image-bad-frame`, `image-unreadable`.
    public func records(in file: ImageFile) throws(Problem) -> [ImageRecord<Entry>] {
        var cursor = FrameCursor(file)
        try cursor.passHeader(of: layout)
        if layout.beginsWithPageHead { _ = try cursor.frame(PagemapHead.self) }
        var records: [ImageRecord<Entry>] = []
        while !cursor.isAtEnd {
            let entry = try cursor.frame(Entry.self)
            let start = cursor.offset
            try passPayload(entry, &cursor)
            records.append(ImageRecord(entry: entry, payload: start..<cursor.offset))
        }
        return records
    }
}

extension FrameCursor {
    /// Reads the header and compares it with that of the kind.
    ///
    /// - Throws: `image-bad-magic`, `image-truncated`.
    public mutating func passHeader(of layout: ImageLayout) throws(Problem) {
        for expected in layout.magics {
            let found = try word()
            guard found == expected else {
                throw .image(
                    .imageBadMagic, file.path,
                    "the file does not begin as \(layout.kind) images do: 0x\(String(found, radix: 16)) stands where "
                        + "0x\(String(expected, radix: 16)) should")
            }
        }
        if layout.header == .unknown { _ = try word() }
    }

    /// Passes over `count` bytes and what fills them up to a multiple of `alignment`.
    mutating func skip(_ count: UInt64, paddedTo alignment: UInt64) throws(Problem) {
        let (sum, overflow) = count.addingReportingOverflow(alignment - 1)
        guard !overflow else { throw file.truncated(at: offset, wanted: count) }
        try skip(sum / alignment * alignment)
    }
}
