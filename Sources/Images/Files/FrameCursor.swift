public import Diagnostics
internal import ImageMessages
public import SwiftProtobuf

/// A place in an image file: reads the header, frame after frame, and the raw bytes between frames.
///
/// A frame is a little-endian u32 length and that many bytes of one message. Small reads are served from a buffer; a
/// length is checked against the size of the file before memory is allocated for it.
public struct FrameCursor {
    /// The file that is read.
    public let file: ImageFile
    /// The next byte to read.
    public private(set) var offset: UInt64

    /// No message of the format comes near: the largest, an address space, has some 60 bytes for each mapping. A damaged
    /// length in a large file must not take the memory of the machine.
    static let largestFrame: UInt64 = 256 << 20
    private static let bufferSize: UInt64 = 64 << 10

    private var buffer: [UInt8] = []
    private var bufferStart: UInt64 = 0

    public init(_ file: ImageFile, at offset: UInt64 = 0) {
        self.file = file
        self.offset = offset
    }

    /// Nothing is left.
    public var isAtEnd: Bool { offset >= file.size }
    /// The bytes that are left.
    public var remaining: UInt64 { file.size - min(offset, file.size) }

    /// Reads `count` bytes.
    public mutating func bytes(_ count: UInt64) throws(Problem) -> [UInt8] {
        guard count <= remaining else { throw file.truncated(at: offset, wanted: count) }
        if count > Self.bufferSize {
            let bytes = try file.bytes(at: offset, count: count)
            offset += count
            return bytes
        }
        let buffered = bufferStart..<bufferStart + UInt64(buffer.count)
        if !(buffered.contains(offset) && offset + count <= buffered.upperBound) {
            buffer = try file.bytes(at: offset, count: min(Self.bufferSize, remaining))
            bufferStart = offset
        }
        let first = Int(offset - bufferStart)
        offset += count
        return Array(buffer[first..<first + Int(count)])
    }

    /// Passes over `count` bytes.
    public mutating func skip(_ count: UInt64) throws(Problem) {
        guard count <= remaining else { throw file.truncated(at: offset, wanted: count) }
        offset += count
    }

    /// Reads a little-endian u32.
    public mutating func word() throws(Problem) -> UInt32 {
        var word: UInt32 = 0
        for (index, byte) in try bytes(4).enumerated() { word |= UInt32(byte) << (8 * index) }
        return word
    }

    /// Reads one frame.
    ///
    /// - Throws: `image-truncated`; `image-bad-frame` where the bytes are not such a message.
    public mutating func frame<Frame: Message>(_ type: Frame.Type) throws(Problem) -> Frame {
        let start = offset
        let length = UInt64(try word())
        guard length <= remaining else { throw file.truncated(at: offset, wanted: length) }
        guard length <= Self.largestFrame else {
            throw .image(.imageBadFrame, file.path, "the frame at byte \(start) claims to be \(length) bytes long")
        }
        let content = try bytes(length)
        do {
            return try Frame(serializedBytes: content)
        } catch {
            throw .image(
                .imageBadFrame, file.path,
                "the frame at byte \(start) is no \(Frame.protoMessageName) (\(FrameCursor.reason(for: error)))")
        }
    }

    private static func reason(for error: any Error) -> String {
        switch error as? BinaryDecodingError {
        case .missingRequiredFields: "a required field is missing"
        case .truncated: "it ends within a field"
        case .invalidUTF8: "a text is not UTF-8"
        case .messageDepthLimit: "it is nested too deeply"
        default: "malformed"
        }
    }
}
