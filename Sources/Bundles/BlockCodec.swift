internal import CCompression

/// How a block of bytes was compressed by itself, without the checksums that a file has: for what travels over a connection.
/// The numbers are those of the protocol of migration, and stay.
public enum BlockCodec: UInt32, Sendable {
    case lz4 = 1
    case zstd = 2
}

extension Compression {
    /// What takes its blocks apart; nil where nothing is compressed.
    public var codec: BlockCodec? {
        switch self {
        case .none: nil
        case .lz4: .lz4
        case .zstd: .zstd
        }
    }

    /// As it is written on the command line.
    public var name: String {
        switch self {
        case .none: "none"
        case .lz4: "lz4"
        case .zstd(let level): "zstd:\(level)"
        }
    }
}

// SAFETY of both: a context belongs to one object and lives as long as it; each call gets buffers that are lent for its
// time, with their sizes, and keeps no pointer to them.

/// Compresses blocks, one after another.
@safe public final class BlockPacker {
    private let context: OpaquePointer

    public init() {
        guard let context = unsafe ZSTD_createCCtx() else { fatalError("there is no memory for compression") }
        unsafe self.context = unsafe context
    }

    deinit { unsafe _ = ZSTD_freeCCtx(context) }

    /// Compresses a block.
    ///
    /// - Parameters:
    ///   - input: at most 1 GiB.
    ///   - room: where the result goes. What does not fit is not worth being compressed.
    /// - Returns: how many bytes of the room it takes; nil where it does not fit, or nothing is to be compressed.
    @unsafe public func pack(
        _ input: UnsafeRawBufferPointer, by compression: Compression, into room: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard input.count > 0, input.count <= 1 << 30, room.count > 0 else { return nil }
        switch compression {
        case .none: return nil
        case .lz4:
            let count = unsafe LZ4_compress_default(
                input.baseAddress, room.baseAddress, Int32(input.count), Int32(min(room.count, 1 << 30)))
            return count > 0 ? Int(count) : nil
        case .zstd(let level):
            let count = unsafe ZSTD_compressCCtx(
                context, room.baseAddress, room.count, input.baseAddress, input.count, level)
            return ZSTD_isError(count) != 0 ? nil : count
        }
    }
}

@available(*, unavailable)
extension BlockPacker: Sendable {}

/// Takes blocks apart that another host has compressed, with mistrust.
@safe public final class BlockUnpacker {
    private let context: OpaquePointer

    public init() {
        guard let context = unsafe ZSTD_createDCtx() else { fatalError("there is no memory for decompression") }
        unsafe self.context = unsafe context
    }

    deinit { unsafe _ = ZSTD_freeDCtx(context) }

    /// Takes a block apart. No more memory is taken than the size that is expected, whatever the block says of itself.
    ///
    /// - Parameter size: how many bytes it must have: the caller has seen to it that there may be so many.
    /// - Returns: nil where the block is damaged, or has another size.
    public func unpack(_ block: ArraySlice<UInt8>, by codec: BlockCodec, size: Int) -> [UInt8]? {
        guard size > 0, size <= 1 << 30, block.count <= 1 << 30 else { return nil }
        var isWhole = false
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
            unsafe block.withUnsafeBytes { block in
                switch codec {
                case .lz4:
                    let count = unsafe LZ4_decompress_safe(
                        block.baseAddress, buffer.baseAddress, Int32(block.count), Int32(size))
                    isWhole = count == size
                case .zstd:
                    let count = unsafe ZSTD_decompressDCtx(
                        context, buffer.baseAddress, size, block.baseAddress, block.count)
                    isWhole = ZSTD_isError(count) == 0 && count == size
                }
            }
            // Of a damaged block nothing is looked at.
            filled = isWhole ? size : 0
        }
        return isWhole ? bytes : nil
    }
}

@available(*, unavailable)
extension BlockUnpacker: Sendable {}
