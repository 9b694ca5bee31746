internal import Diagnostics

/// Gives what compressed frames hold, whatever they are compressed by.
final class FrameSource: ByteSource {
    private let source: any ByteSource
    private let decoder: any FrameDecoder
    private var piece: [UInt8] = []
    private var place = 0
    private var isWithinFrame = false
    /// The library may hold more back than the last piece had room for.
    private var isFull = false

    init(_ source: any ByteSource, _ decoder: any FrameDecoder) {
        self.source = source
        self.decoder = decoder
    }

    func next() throws(Problem) -> [UInt8] {
        while true {
            if place == piece.count && !isFull {
                piece = try source.next()
                place = 0
                if piece.isEmpty {
                    if isWithinFrame { throw .truncated() }
                    return []
                }
            }
            let step = decoder.decode(piece, from: &place)
            if let failure = step.failure { throw .invalid("its compression is damaged (\(failure))") }
            isWithinFrame = step.goesOn
            // At the end of a frame nothing is held back: to ask for more would begin another frame.
            isFull = isWithinFrame && step.output.count == pieceSize
            if !step.output.isEmpty { return step.output }
        }
    }
}

/// A library that takes compressed frames apart, one piece after the other.
protocol FrameDecoder: AnyObject {
    /// Decodes as much as there is, up to `pieceSize` bytes of output.
    ///
    /// - Parameter place: how much of the input has been taken.
    func decode(_ input: [UInt8], from place: inout Int) -> FrameStep
}

/// What has come of a piece.
struct FrameStep {
    var output: [UInt8]
    /// The frame has not ended.
    var goesOn: Bool
    /// In the library's words; nil where all is well.
    var failure: String?
}
