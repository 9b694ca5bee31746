internal import Bundles
internal import Diagnostics
internal import Tracing

/// Frames within frames, compressed: the kind of the inner one, the codec, and the size of the inner body, each of four bytes, and
/// then that body as the codec has it.
enum PackedFrame {
    /// In bytes.
    static let headSize = 12

    /// Which frames travel packed: what has much in it, and nothing that decides anything.
    static func mayHold(_ kind: Frame.Kind) -> Bool { kind == .pages || kind == .sparse || kind == .file }

    /// The beginning of a body.
    static func head(_ kind: Frame.Kind, _ codec: BlockCodec, size: Int) -> [UInt8] {
        var head: [UInt8] = []
        head.append(littleEndian: UInt32(kind.rawValue))
        head.append(littleEndian: codec.rawValue)
        head.append(littleEndian: UInt32(size))
        return head
    }

    /// Takes a body apart. Before there is any memory for it the size that it announces is held against that of the
    /// longest frame; and it has to have exactly that size.
    ///
    /// - Throws: `protocol` for what is none.
    static func open(_ body: [UInt8], _ unpacker: BlockUnpacker) throws(Problem) -> Frame {
        var reader = BodyReader(body)
        let kind = UInt8(exactly: try reader.word32()).flatMap { Frame.Kind(rawValue: $0) }
        let codec = BlockCodec(rawValue: try reader.word32())
        let size = Int(try reader.word32())
        guard let kind, mayHold(kind), let codec, size > 0, size <= Frame.longestBody,
            let inner = unpacker.unpack(body[headSize...], by: codec, size: size)
        else { throw BodyReader.malformed }
        return Frame(kind: kind, body: inner)
    }
}
