internal import Checkpoint
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Memory
internal import Tracing

/// Takes pages and images to the other host, and asks it for the last word.
final class Courier: PageCarrier {
    /// A part takes 28 bytes: a frame holds more than twice as many.
    private static let mostPartsOfFrame = 100_000

    private let wire: Wire
    /// What is sent in large frames.
    let parcels: Parcels
    /// Where pages go over several connections.
    private var channels: Channels?
    private let images: ImageShipment
    private let settlement: Settlement
    private var buffer: [UInt8] = []
    private var files: [CarriedFile] = []
    /// Bytes of pages that have been sent.
    private(set) var carried: UInt64 = 0
    /// What went over several connections when the brake was told the last time.
    private var noted: UInt64 = 0
    /// And those of them that are zeros.
    private var zeros: UInt64 = 0
    /// How many bytes may be sent each second; nil for as many as can be.
    var bandwidth: UInt64? { didSet { brake = bandwidth.map { Brake(rate: $0, start: SystemClock.monotonic.now) } } }
    private var brake: Brake?
    /// Told after each frame.
    var told: (UInt64) -> Void = { _ in }
    /// What the destination needs to know for the last part.
    var final: JSON = [:]
    /// What follows when the tree runs there, and how many bytes that is.
    private(set) var late: [PageSpace: [Range<UInt64>]] = [:]
    private(set) var lateSize: UInt64 = 0
    /// How that went; nil where nothing did, or it has not come to an end.
    private(set) var followed: LateSending.Outcome?
    private(set) var followedSince: UInt64?
    /// Told when the tree runs, and how far what follows has come.
    var toldLate: (MigrationEvent) -> Void = { _ in }
    /// When the tree came to be ready there, and when it ran there, on the monotonic clock.
    private(set) var readySince: UInt64?
    private(set) var releasedSince: UInt64?

    /// - Parameter settlement: hands the tree over, once all is ready there.
    init(_ wire: Wire, _ images: ImageShipment, _ settlement: Settlement, compression: SendCompression) {
        self.wire = wire
        parcels = Parcels(wire, compression)
        self.images = images
        self.settlement = settlement
    }

    func carry(_ runs: [StoredRun], of space: PageSpace, from source: some PageSource) throws(Problem) {
        if let channels {
            return try channels.carry(runs, of: space, from: source) { size throws(Problem) in
                try heed()
                carried += size
                let sent = channels.carried
                try hasSent(sent - noted)
                noted = sent
            }
        }
        var batch: [StoredRun] = []
        var size: UInt64 = 0
        for run in runs {
            var (address, left) = (run.address, run.size)
            while left > 0 {
                let count = min(left, PageBatch.largest - size)
                batch.append(StoredRun(address: address, size: count, flags: run.flags))
                size += count
                address += count
                left -= count
                if size == PageBatch.largest || batch.count == PageBatch.mostPieces {
                    try send(batch, space, source)
                    (batch, size) = ([], 0)
                }
            }
        }
        if size > 0 { try send(batch, space, source) }
    }

    private func send(_ pieces: [StoredRun], _ space: PageSpace, _ source: some PageSource) throws(Problem) {
        try heed()
        var batch = try PageBatch(pieces, of: space, from: source, using: buffer)
        buffer = []
        let size = try parcels.send(&batch)
        carried += batch.size
        zeros += batch.zeros
        buffer = batch.takeBuffer()
        try hasSent(UInt64(size))
    }

    /// - Parameter size: bytes on the wire.
    private func hasSent(_ size: UInt64) throws(Problem) {
        told(carried)
        guard let pause = brake?.take(size, at: SystemClock.monotonic.now), pause > 0 else { return }
        usleep(UInt32(clamping: pause / 1000))
        parcels.hold(pause)
        channels?.hold(pause)
        try Cancellation.check()
    }

    // MARK: Several connections

    /// Opens the connections that pages go over, where there are to be several.
    ///
    /// - Throws: what a connection throws; what the other host has against them.
    func open(_ options: MigrationOptions, _ uuid: String) throws {
        if options.channels < 2 { return }
        channels = try Channels(
            options.channels, wire, options.command, uuid, options.compression, host: options.host,
            answer: { try expect(.received) })
    }

    /// Everything that was sent has been received when this returns.
    func finishRound() throws {
        try channels?.synchronize()
        try wire.send(.round)
        try expect(.received)
    }

    /// All bytes that went over the other connections.
    var bytesBeside: UInt64 { channels?.bytesBeside ?? 0 }

    /// Ends the other connections.
    func close() { channels?.end() }

    /// Tells what has been sent of memory, and how.
    func count(into summary: inout MigrationSummary) {
        var (tally, zeros) = (parcels.tally, zeros)
        if let sent = channels?.sent {
            tally.add(sent.tally)
            zeros += sent.zeros
        }
        summary.memory = carried
        summary.zeros = zeros
        summary.ways = tally.summary
        summary.channels = channels?.count ?? 1
    }

    /// Hears whether the other side has given up meanwhile.
    private func heed() throws(Problem) {
        try channels?.check()
        while wire.hasInput {
            guard let frame = try wire.receive() else { throw hungUp }
            if frame.kind == .alive { continue }
            throw refusal(frame)
        }
    }

    func announce(late runs: [Range<UInt64>], of space: PageSpace) throws(Problem) {
        try wire.send(late: runs, of: space, as: .late)
        late[space, default: []] += runs
        lateSize += runs.reduce(0) { $0 + $1.upperBound - $1.lowerBound }
    }

    func announce(outdated runs: [Range<UInt64>], of space: PageSpace) throws(Problem) {
        try wire.send(late: runs, of: space, as: .outdated)
    }

    func record(_ file: CarriedFile) { files.append(file) }

    func deliver(_ directory: ImageDirectory) throws {
        try channels?.synchronize(isLast: true)
        for file in files {
            for start in stride(from: 0, to: max(file.parts.count, 1), by: Self.mostPartsOfFrame) {
                var body: [UInt8] = []
                body.append(littleEndian: UInt32(file.layer))
                body.append(littleEndian: file.id)
                for part in file.parts[start...].prefix(Self.mostPartsOfFrame) {
                    part.space.append(to: &body)
                    body.append(littleEndian: part.address)
                    body.append(littleEndian: part.size)
                }
                try wire.send(.layout, body)
            }
        }
        try images.send(directory, in: parcels)
        try wire.send(.last, final)
        try expect(.ready)
        readySince = SystemClock.monotonic.now
    }

    func prepareHandOver() throws(Problem) {
        try channels?.check()
        try settlement.prepare()
    }

    func handOver() -> Fate {
        let fate = settlement.handOver()
        releasedSince = SystemClock.monotonic.now
        guard case .arrived = fate, !late.isEmpty else { return fate }
        toldLate(.released(late: lateSize))
        let (end, outcome) = settlement.follow(late, told: toldLate)
        followed = outcome
        followedSince = SystemClock.monotonic.now
        return end
    }

    func conclude() { settlement.conclude() }

    /// See ``Settlement/namespaceInit``.
    var namespaceInit: Int32? { settlement.namespaceInit }

    /// Waits for an answer.
    ///
    /// - Throws: the problems of the other side where it says that it has failed.
    @discardableResult
    func expect(_ kind: Frame.Kind) throws -> JSON {
        while true {
            guard let frame = try wire.receive() else { throw hungUp }
            switch frame.kind {
            case kind: return JSON(parsing: frame.body) ?? [:]
            case .alive: continue
            case .failed: throw Problems.of(frame, on: wire.peer)
            default: throw refusal(frame)
            }
        }
    }

    private var hungUp: Problem {
        Problem(
            .connectionLost, "\(wire.peer) has closed the connection",
            remedy:
                "See what was printed above: ssh, or `apus` there, says why. The name of the host must be right, and `apus` must be"
                + " installed there and be run as root")
    }

    private func refusal(_ frame: Frame) -> Problem {
        guard frame.kind == .failed else {
            return Problem(
                .badProtocol, "\(wire.peer) says something that was not expected (\(frame.kind))",
                remedy: "See that `apus` is of the same version on both hosts")
        }
        return Problems.of(frame, on: wire.peer).all[0]
    }
}

extension Problems {
    /// What a frame says that went wrong.
    static func of(_ frame: Frame, on host: String) -> Problems {
        let body = JSON(parsing: frame.body)
        // A relay speaks of what is the matter on this side.
        let isHere = body?["here"] == true
        let found = (body?.problems("problems") ?? []).map { isHere ? $0 : $0.on(host) }
        guard let first = found.first else {
            return Problems(
                Problem(.badProtocol, "\(host) has failed and does not say why", remedy: "See what it has printed"))
        }
        return Problems(first, Array(found.dropFirst()))
    }
}
