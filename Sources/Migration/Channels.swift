internal import Checkpoint
internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import Objects
internal import Tracing

/// The connections over which pages go when there are several (`--channels`), seen from the host that the tree leaves.
///
/// The first of them is the one of the migration itself. All pages of a chunk of a space go over the same one, so that the last that
/// was sent of a page is the last that comes: and between two rounds, in which that may change, each has been answered.
final class Channels {
    /// In bytes.
    private static let chunk: UInt64 = 2 << 20
    /// So many are begun at a time: sshd refuses some of ten (MaxStartups).
    private static let together = 4

    private let lanes: [Lane]
    /// The programs that reach the other host, of all but the first.
    private let shells: [RemoteShell]
    private let peer: String

    /// Opens them.
    ///
    /// - Parameters:
    ///   - first: the connection of the migration.
    ///   - answer: waits for an answer over it.
    /// - Throws: what a connection throws; what the other host has against them.
    init(
        _ count: Int, _ first: Wire, _ command: [String], _ uuid: String, _ compression: SendCompression, host: String,
        answer: () throws -> Void
    ) throws {
        let secret = try RandomName.make() + RandomName.make()
        try first.send(.channels, ["secret": .string(secret), "count": .integer(Int64(count - 1))])
        try answer()
        var shells: [RemoteShell] = []
        do {
            for start in stride(from: 1, to: count, by: Self.together) {
                let numbers = start..<min(start + Self.together, count)
                for number in numbers {
                    let shell = try RemoteShell(command, host: host)
                    shells.append(shell)
                    try shell.wire.send(
                        .join,
                        [
                            "protocol": .integer(Int64(Frame.version)), "uuid": .string(uuid),
                            "secret": .string(secret), "number": .integer(Int64(number)),
                        ])
                }
                for shell in shells[(start - 1)...] { try Self.expect(.welcome, on: shell.wire) }
            }
            lanes = try ([first] + shells.map(\.wire)).map { wire throws(Problem) in try Lane(wire, compression) }
        } catch {
            shells.forEach { $0.end() }
            throw error
        }
        self.shells = shells
        peer = host
    }

    deinit { end() }

    // MARK: Pages

    /// Sends runs of pages.
    ///
    /// - Parameter told: after each batch, how many bytes of pages it had.
    /// - Throws: what the source throws; what a connection throws.
    func carry(
        _ runs: [StoredRun], of space: PageSpace, from source: some PageSource, told: (UInt64) throws(Problem) -> Void
    ) throws(Problem) {
        var batches = [Batch](repeating: Batch(), count: lanes.count)
        for run in runs {
            var (address, left) = (run.address, run.size)
            while left > 0 {
                let index = Self.lane(of: space, address, among: lanes.count)
                let size = min(left, Self.chunk - address % Self.chunk, PageBatch.largest - batches[index].size)
                batches[index].pieces.append(StoredRun(address: address, size: size, flags: run.flags))
                batches[index].size += size
                address += size
                left -= size
                if batches[index].isFull { try send(&batches[index], index, space, source, told) }
            }
        }
        for index in batches.indices where batches[index].size > 0 {
            try send(&batches[index], index, space, source, told)
        }
    }

    private struct Batch {
        var pieces: [StoredRun] = []
        var size: UInt64 = 0
        var isFull: Bool { size == PageBatch.largest || pieces.count == PageBatch.mostPieces }
    }

    /// Which way the pages of a chunk go.
    static func lane(of space: PageSpace, _ address: UInt64, among count: Int) -> Int {
        let owner: UInt64 =
            switch space {
            case .process(let pid): UInt64(UInt32(bitPattern: pid))
            case .shared(let number): ~number
            }
        return Int((owner &+ address / chunk) % UInt64(count))
    }

    private func send(
        _ batch: inout Batch, _ index: Int, _ space: PageSpace, _ source: some PageSource,
        _ told: (UInt64) throws(Problem) -> Void
    ) throws(Problem) {
        let (pieces, size) = (batch.pieces, batch.size)
        batch = Batch()
        let lane = lanes[index]
        try lane.send(try PageBatch(pieces, of: space, from: source, using: lane.buffer()))
        try told(size)
    }

    /// How many there are.
    var count: Int { lanes.count }
    /// Bytes on all wires so far, for pages.
    var carried: UInt64 { lanes.reduce(0) { $0 + $1.sent.carried } }
    /// What became of the pages.
    var sent: (tally: Parcels.Tally, zeros: UInt64) {
        lanes.reduce(into: (Parcels.Tally(), 0)) { sum, lane in
            let sent = lane.sent
            sum.0.add(sent.tally)
            sum.1 += sent.zeros
        }
    }
    /// All bytes that went over the connections but the first.
    var bytesBeside: UInt64 { shells.reduce(0) { $0 + $1.wire.sent } }

    /// Nothing is to be sent for that time, in nanoseconds.
    func hold(_ time: UInt64) { lanes.forEach { $0.hold(time) } }

    // MARK: Order

    /// Everything that was sent has been received when this returns, but for what went over the first connection, which is
    /// asked by whoever it belongs to.
    ///
    /// - Parameter isLast: nothing more is sent over the others.
    func synchronize(isLast: Bool = false) throws {
        for lane in lanes { try lane.drain() }
        for shell in shells { try shell.wire.send(isLast ? .finished : .round) }
        for shell in shells { try Self.expect(.received, on: shell.wire) }
    }

    /// Whether all connections are there still.
    ///
    /// - Throws: `connection-lost`; what the other host says.
    func check() throws(Problem) {
        for shell in shells {
            while shell.wire.hasInput {
                guard let frame = try shell.wire.receive() else { throw Self.closed(peer) }
                if frame.kind == .alive { continue }
                throw Problems.of(frame, on: peer).all[0]
            }
        }
    }

    private static func expect(_ kind: Frame.Kind, on wire: Wire) throws {
        while let frame = try wire.receive() {
            if frame.kind == kind { return }
            if frame.kind == .failed { throw Problems.of(frame, on: wire.peer) }
            guard frame.kind == .alive else { throw BodyReader.malformed }
        }
        throw closed(wire.peer)
    }

    private static func closed(_ peer: String) -> Problem {
        Problem(
            .connectionLost, "\(peer) has closed one of several connections",
            remedy: "See what it has printed, or migrate with fewer --channels")
    }

    private var isOver = false

    /// Ends the connections but the first.
    func end() {
        if isOver { return }
        isOver = true
        // A thread may be in the midst of a write that nobody takes any more.
        shells.forEach { $0.wire.close() }
        lanes.forEach { $0.end() }
        shells.forEach { $0.end() }
    }
}

@available(*, unavailable)
extension Channels: Sendable {}
