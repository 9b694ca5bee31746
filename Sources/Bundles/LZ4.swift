internal import CCompression
internal import Diagnostics

// SAFETY of both: as for Zstandard.

/// Compresses into one frame of LZ4, with a checksum.
@safe final class LZ4Sink: ByteSink {
    private let next: any ByteSink
    private let context: OpaquePointer
    private var preferences = LZ4F_preferences_t()
    private var hasBegun = false

    init(into next: any ByteSink) throws(Problem) {
        self.next = next
        var context: OpaquePointer?
        _ = unsafe LZ4F_createCompressionContext(&context, UInt32(LZ4F_VERSION))
        guard let context = unsafe context else { throw LZ4.failure(.bundleUnwritable, "there is no memory") }
        unsafe self.context = unsafe context
        preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled
        preferences.frameInfo.blockSizeID = LZ4F_max256KB
    }

    deinit { unsafe _ = LZ4F_freeCompressionContext(context) }

    func write(_ bytes: [UInt8]) throws(Problem) {
        try begin()
        let room = unsafe LZ4F_compressBound(bytes.count, &preferences)
        try unsafe emit(room: room) { buffer in
            unsafe bytes.withUnsafeBytes { input in
                unsafe LZ4F_compressUpdate(
                    context, buffer.baseAddress, buffer.count, input.baseAddress, input.count, nil)
            }
        }
    }

    func finish() throws(Problem) {
        try begin()
        let room = unsafe LZ4F_compressBound(0, &preferences)
        try unsafe emit(room: room) { unsafe LZ4F_compressEnd(context, $0.baseAddress, $0.count, nil) }
        try next.finish()
    }

    private func begin() throws(Problem) {
        if hasBegun { return }
        hasBegun = true
        // LZ4F_HEADER_SIZE_MAX
        try unsafe emit(room: 19) { unsafe LZ4F_compressBegin(context, $0.baseAddress, $0.count, &preferences) }
    }

    private func emit(room: Int, _ body: (UnsafeMutableBufferPointer<UInt8>) -> Int) throws(Problem) {
        var result = 0
        let output = unsafe [UInt8](unsafeUninitializedCapacity: room) { buffer, filled in
            result = unsafe body(buffer)
            filled = LZ4F_isError(result) != 0 ? 0 : result
        }
        if LZ4F_isError(result) != 0 { throw LZ4.failure(.bundleUnwritable, LZ4.message(result)) }
        if !output.isEmpty { try next.write(output) }
    }
}

/// Takes frames of LZ4 apart.
@safe final class LZ4Decoder: FrameDecoder {
    private let context: OpaquePointer

    init() throws(Problem) {
        var context: OpaquePointer?
        _ = unsafe LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))
        guard let context = unsafe context else { throw LZ4.failure(.bundleUnreadable, "there is no memory") }
        unsafe self.context = unsafe context
    }

    deinit { unsafe _ = LZ4F_freeDecompressionContext(context) }

    func decode(_ input: [UInt8], from place: inout Int) -> FrameStep {
        var hint = 0
        let output = unsafe [UInt8](unsafeUninitializedCapacity: pieceSize) { buffer, filled in
            var room = buffer.count
            unsafe input.withUnsafeBytes { input in
                var taken = input.count - place
                let start = unsafe input.baseAddress.map { unsafe $0 + place }
                hint = unsafe LZ4F_decompress(context, buffer.baseAddress, &room, start, &taken, nil)
                place += taken
            }
            filled = LZ4F_isError(hint) != 0 ? 0 : room
        }
        let failure = LZ4F_isError(hint) != 0 ? LZ4.message(hint) : nil
        return FrameStep(output: output, goesOn: hint != 0, failure: failure)
    }
}

private enum LZ4 {
    static func message(_ code: Int) -> String { unsafe String(cString: LZ4F_getErrorName(code)) }

    static func failure(_ code: Problem.Code, _ why: String) -> Problem {
        Problem(code, "lz4 fails (\(why))", remedy: "Give --compress none")
    }
}
