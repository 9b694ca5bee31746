internal import Bundles
internal import Diagnostics
internal import Linux

/// Sends frames that have much in them, compressed as the user or the link wants it.
final class Parcels {
    /// What became of what was sent.
    struct Tally: Sendable, Equatable {
        /// By the name of what it was compressed by: bytes before, and on the wire.
        var ways: [String: Way] = [:]

        struct Way: Sendable, Equatable {
            var (content, carried): (UInt64, UInt64) = (0, 0)
        }

        mutating func add(_ other: Tally) {
            ways.merge(other.ways) { .init(content: $0.content + $1.content, carried: $0.carried + $1.carried) }
        }

        /// For people and programs, what was most first.
        var summary: [MigrationSummary.Way] {
            ways.map { .init(name: $0.key, content: $0.value.content, carried: $0.value.carried) }
                .sorted { ($1.content, $0.name) < ($0.content, $1.name) }
        }
    }

    private let wire: Wire
    private let fixed: Compression?
    private var chooser = CodecChooser()
    private let blocks = BlockPacker()
    private var room = [UInt8](repeating: 0, count: 1 << 20 + 1 << 16)
    /// For how long nothing was sent because it was not to be, in nanoseconds.
    private var held: UInt64 = 0
    private(set) var tally = Tally()

    /// What does not become smaller by that share is sent as it is: it would have to be taken apart for nothing.
    private static let least = 16
    /// How many bytes a sample has.
    private static let sampleSize = 128 << 10

    init(_ wire: Wire, _ compression: SendCompression) {
        self.wire = wire
        switch compression {
        case .auto: fixed = nil
        case .fixed(let way): fixed = way
        }
    }

    /// Sends a frame.
    ///
    /// - Parameter counts: it is of pages, which the tally is about.
    /// - Returns: how many bytes it took on the wire.
    /// - Throws: what the connection throws.
    @discardableResult
    @unsafe private func send(
        _ kind: Frame.Kind, _ body: UnsafeRawBufferPointer, counts: Bool = true
    ) throws(Problem) -> Int {
        if fixed == nil { unsafe sample(body) }
        let start = SystemClock.monotonic.now
        let way = fixed ?? chooser.current
        let packed = unsafe pack(body, by: way)
        let packing = way == .none ? 0 : SystemClock.monotonic.now - start
        let carried: Int
        if let packed, let codec = way.codec {
            carried = PackedFrame.headSize + packed
            let wire = wire
            try unsafe room.withUnsafeBytes { room -> Result<Void, Problem> in
                Result { () throws(Problem) in
                    // So much of it was filled.
                    try unsafe wire.send(
                        .packed, PackedFrame.head(kind, codec, size: body.count),
                        UnsafeRawBufferPointer(rebasing: room[..<packed]))
                }
            }.get()
        } else {
            carried = body.count
            try unsafe wire.send(kind, [], body)
        }
        if counts {
            let name = packed == nil ? Compression.none.name : way.name
            tally.ways[name, default: .init()].content += UInt64(body.count)
            tally.ways[name, default: .init()].carried += UInt64(carried)
        }
        if fixed == nil {
            chooser.sent(
                content: body.count, carried: carried, packing: packing, waited: wire.waited + held,
                at: SystemClock.monotonic.now)
        }
        return Frame.headerSize + carried
    }

    /// Sends a batch of pages.
    func send(_ batch: inout PageBatch) throws(Problem) -> Int {
        let kind = batch.seal()
        return try unsafe batch.withBody { body throws(Problem) in try unsafe send(kind, body) }
    }

    /// Sends a piece of a file.
    func send(file body: [UInt8]) throws(Problem) {
        try unsafe body.withUnsafeBytes { body -> Result<Void, Problem> in
            Result { () throws(Problem) in try unsafe send(.file, body, counts: false) }
        }.get()
    }

    /// The next is not to be sent before that time, which counts as the link's.
    func hold(_ time: UInt64) { held += time }

    private func pack(_ body: UnsafeRawBufferPointer, by way: Compression) -> Int? {
        guard way != .none else { return nil }
        let most = min(body.count - body.count / Self.least - PackedFrame.headSize, room.count)
        guard most > 0 else { return nil }
        let blocks = blocks
        return unsafe room.withUnsafeMutableBytes { room in
            unsafe blocks.pack(body, by: way, into: UnsafeMutableRawBufferPointer(rebasing: room[..<most]))
        }
    }

    /// Tries what the chooser wants to know about on a piece out of the middle.
    private func sample(_ body: UnsafeRawBufferPointer) {
        guard body.count >= Self.sampleSize else { return }
        let ways = chooser.wanted(at: SystemClock.monotonic.now)
        if ways.isEmpty { return }
        let first = (body.count - Self.sampleSize) / 2
        let blocks = blocks
        for way in ways {
            let start = SystemClock.monotonic.now
            let count = unsafe room.withUnsafeMutableBytes { room in
                unsafe blocks.pack(
                    UnsafeRawBufferPointer(rebasing: body[first..<first + Self.sampleSize]), by: way, into: room)
            }
            let now = SystemClock.monotonic.now
            chooser.add(way, Self.sampleSize, count ?? Self.sampleSize, time: now - start, at: now)
        }
    }
}

@available(*, unavailable)
extension Parcels: Sendable {}
