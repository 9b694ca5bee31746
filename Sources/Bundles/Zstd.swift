internal import CCompression
internal import Diagnostics
internal import Glibc

// SAFETY of both: a context belongs to one object and lives as long as it; each call gets buffers that Swift lends for
// its time, with their sizes, and keeps no pointer to them.

/// Compresses into one frame of Zstandard (RFC 8878), with a checksum.
@safe final class ZstdSink: ByteSink {
    private let next: any ByteSink
    private let context: OpaquePointer

    init(level: Int32, into next: any ByteSink) {
        self.next = next
        guard let context = unsafe ZSTD_createCCtx() else { fatalError("there is no memory for compression") }
        unsafe self.context = unsafe context
        // Parameters that this build of the library lacks (threads) are left as they are.
        _ = unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        _ = unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        // The tree stands still meanwhile: take what processors there are.
        let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        if processors > 1 { _ = unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_nbWorkers, Int32(min(processors, 8))) }
    }

    deinit { unsafe _ = ZSTD_freeCCtx(context) }

    func write(_ bytes: [UInt8]) throws(Problem) { try compress(bytes, ZSTD_e_continue) }

    func finish() throws(Problem) {
        try compress([], ZSTD_e_end)
        try next.finish()
    }

    private func compress(_ bytes: [UInt8], _ mode: ZSTD_EndDirective) throws(Problem) {
        var (place, left) = (0, 0)
        repeat {
            let output = unsafe [UInt8](unsafeUninitializedCapacity: pieceSize) { buffer, filled in
                var out = unsafe ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
                unsafe bytes.withUnsafeBytes {
                    var input = unsafe ZSTD_inBuffer(src: $0.baseAddress, size: $0.count, pos: place)
                    left = unsafe ZSTD_compressStream2(context, &out, &input, mode)
                    place = unsafe input.pos
                }
                filled = unsafe out.pos
            }
            if ZSTD_isError(left) != 0 {
                throw Problem(
                    .bundleUnwritable, "the bundle cannot be compressed (\(Zstd.message(left)))",
                    remedy: "Give --compress none")
            }
            if !output.isEmpty { try next.write(output) }
        } while mode == ZSTD_e_end ? left > 0 : place < bytes.count
    }
}

/// Takes frames of Zstandard apart.
@safe final class ZstdDecoder: FrameDecoder {
    private let context: OpaquePointer

    init() {
        guard let context = unsafe ZSTD_createDCtx() else { fatalError("there is no memory for decompression") }
        unsafe self.context = unsafe context
    }

    deinit { unsafe _ = ZSTD_freeDCtx(context) }

    func decode(_ input: [UInt8], from place: inout Int) -> FrameStep {
        var hint = 0
        let output = unsafe [UInt8](unsafeUninitializedCapacity: pieceSize) { buffer, filled in
            var out = unsafe ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
            unsafe input.withUnsafeBytes {
                var input = unsafe ZSTD_inBuffer(src: $0.baseAddress, size: $0.count, pos: place)
                hint = unsafe ZSTD_decompressStream(context, &out, &input)
                place = unsafe input.pos
            }
            filled = unsafe out.pos
        }
        let failure = ZSTD_isError(hint) != 0 ? Zstd.message(hint) : nil
        return FrameStep(output: output, goesOn: hint != 0, failure: failure)
    }
}

private enum Zstd {
    static func message(_ code: Int) -> String { unsafe String(cString: ZSTD_getErrorName(code)) }
}
