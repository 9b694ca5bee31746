internal import Checkpoint
public import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Logging
internal import Memory
internal import Tracing

/// Sends what follows when a tree runs on the other host already, out of the original, which stands still: pages that somebody waits
/// for there at once, the others in order.
///
/// What has come the other host knows. So when the connection breaks, a new one begins with what it says is outstanding.
final class LateSending {
    /// How it went there.
    struct Outcome: Sendable, Equatable {
        /// How often somebody waited for a page, and for how long in the middle, in nanoseconds.
        var faults: UInt64
        var medianWait: UInt64

        init(_ json: JSON) {
            faults = json["faults"]?.bits ?? 0
            medianWait = json["median_ns"]?.bits ?? 0
        }
    }

    enum End {
        /// Everything is there.
        case complete(Outcome)
        /// It is not: the original must neither run nor end.
        case open(Problem)
        /// It never ran there, and never will.
        case refused(Problem)
    }

    /// How many bytes may be sent each second, but for those that somebody waits for; nil for as many as can be.
    var bandwidth: UInt64?
    /// Told how far it has come.
    var told: (MigrationEvent) -> Void = { _ in }

    private let uuid: String
    private let command: [String]
    private let host: String
    private let logger: Logger
    /// Whose memory it may be.
    private let pids: Set<Int32>
    private var pending: [PageSpace: LatePages] = [:]
    /// What is sent in order, the last first.
    private var queue: [(space: PageSpace, range: Range<UInt64>)] = []
    private var readers: [PageSpace: RunningPages] = [:]
    private var buffer = [UInt8](repeating: 0, count: Int(frameSize))
    private var (sent, size): (UInt64, UInt64) = (0, 0)
    /// Somebody has asked for the end, and was told.
    private var hasAnswered = false

    /// Who waits for a page must not wait for a long frame before it.
    private static let frameSize: UInt64 = 256 << 10
    /// Who touches a page will touch the next ones, in all likelihood.
    private static let neighbours: UInt64 = 64 << 10

    /// - Parameter pids: the processes of the tree. Of others nothing is sent, whoever asks for it.
    init(_ uuid: String, _ command: [String], _ host: String, of pids: Set<Int32>, _ logger: Logger) {
        self.pids = pids
        self.uuid = uuid
        self.command = command
        self.host = host
        self.logger = logger
    }

    /// Sends until everything is there.
    ///
    /// - Parameters:
    ///   - wire: the connection so far; nil to begin with a new one.
    ///   - late: what is to be sent over it.
    ///   - seconds: for how long a new connection is tried, each time.
    func run(over wire: Wire?, _ late: [PageSpace: [Range<UInt64>]], seconds: Int) -> End {
        var wire = wire
        begin(late)
        var shell: RemoteShell?
        defer { shell?.end() }
        var limit = SystemClock.monotonic.now + UInt64(seconds) * 1_000_000_000
        while true {
            do throws(Problem) {
                if wire == nil {
                    shell?.end()
                    shell = nil
                    let next = try RemoteShell(command, host: host)
                    shell = next
                    switch try resume(over: next.wire) {
                    case .partial: wire = next.wire
                    case .released: return .complete(Outcome([:]))
                    case .lost: return .open(Self.lost(uuid, host))
                    case .aborted: return .refused(Settlement.neverRan(on: host))
                    }
                    limit = SystemClock.monotonic.now + UInt64(seconds) * 1_000_000_000
                }
                if let wire { return .complete(try send(over: wire)) }
            } catch {
                // What cannot be read here no connection makes better.
                if error.code == .memoryUnreachable { return .open(error) }
                logger.warning("\(error.description)")
                if wire != nil { limit = SystemClock.monotonic.now + UInt64(seconds) * 1_000_000_000 }
                wire = nil
                if SystemClock.monotonic.now > limit { return .open(incomplete) }
                usleep(500_000)
            }
        }
    }

    private func begin(_ late: [PageSpace: [Range<UInt64>]]) {
        pending = late.mapValues { runs in LatePages(runs.sorted { $0.lowerBound < $1.lowerBound }) }
        queue = []
        for (space, pages) in pending {
            for run in pages.outstanding.reversed() {
                let starts = stride(from: run.lowerBound, to: run.upperBound, by: UInt64.Stride(Self.frameSize))
                for start in Array(starts).reversed() {
                    queue.append((space, start..<min(start + Self.frameSize, run.upperBound)))
                }
            }
        }
        size = max(size, pending.values.reduce(0) { $0 + UInt64($1.count) * LatePages.pageSize })
        sent = size - pending.values.reduce(0) { $0 + UInt64($1.count) * LatePages.pageSize }
    }

    // MARK: One connection

    /// Hears what is outstanding.
    ///
    /// - Returns: `partial` where that follows over this connection.
    private func resume(over wire: Wire) throws(Problem) -> Settlement.Word {
        wire.isDetermined = true
        try wire.send(.resume, ["protocol": .integer(Int64(Frame.version)), "uuid": .string(uuid)])
        var late: [PageSpace: [Range<UInt64>]] = [:]
        while let frame = try wire.receive() {
            switch frame.kind {
            case .alive: continue
            case .outstanding:
                let (space, runs) = try LateRuns.parse(frame.body)
                guard let pid = space.pid, pids.contains(pid) else { throw BodyReader.malformed }
                // Memory of several processes there may be one here.
                late[space, default: []] += runs
            case .resumed:
                logger.info("\(host) can be reached again, and what has not come follows")
                begin(late.mapValues(LateRuns.joined))
                return .partial
            case .fate:
                guard let word = JSON(parsing: frame.body).flatMap(Settlement.Word.init) else {
                    throw BodyReader.malformed
                }
                if word == .partial { throw unserved }
                return word
            case .failed: throw Problems.of(frame, on: host).all[0]
            default: throw BodyReader.malformed
            }
        }
        throw lost
    }

    private func send(over wire: Wire) throws(Problem) -> Outcome {
        wire.isDetermined = true
        let pulse = Pulse(wire)
        defer { pulse.end() }
        var brake = bandwidth.map { Brake(rate: $0, start: SystemClock.monotonic.now) }
        /// Nothing goes before that time but what somebody waits for.
        var next: UInt64 = 0
        while true {
            answerWish()
            while wire.hasInput || queue.isEmpty {
                guard let frame = try wire.receive() else { throw lost }
                if let outcome = try take(frame, over: wire) { return outcome }
            }
            let now = SystemClock.monotonic.now
            if now < next {
                usleep(UInt32(clamping: min(next - now, 1_000_000) / 1000))
                continue
            }
            guard let (space, range) = queue.popLast() else { continue }
            let count = try send(range, of: space, over: wire)
            told(.follows(done: sent, of: size))
            if let pause = brake?.take(count, at: now) { next = now + pause }
        }
    }

    /// Says once to who asks for the end (Ctrl-C) why it does not come.
    private func answerWish() {
        guard !hasAnswered, Cancellation.requested else { return }
        hasAnswered = true
        logger.warning(
            "the tree runs on \(host) already and needs its memory: the end is waited for, \((size - sent) >> 20) MiB are left"
        )
    }

    /// - Returns: how it went, where everything is there.
    private func take(_ frame: Frame, over wire: Wire) throws(Problem) -> Outcome? {
        switch frame.kind {
        case .alive: return nil
        case .wanted:
            var reader = BodyReader(frame.body)
            let (space, address) = (try reader.space(), try reader.word64())
            guard address % LatePages.pageSize == 0, address < 1 << 56 else { throw BodyReader.malformed }
            // What has been sent already is on its way.
            guard pending[space]?.source(of: address) != nil else { return nil }
            try send(address..<address + Self.neighbours, of: space, over: wire)
            return nil
        case .complete: return Outcome(JSON(parsing: frame.body) ?? [:])
        default: throw BodyReader.malformed
        }
    }

    /// Sends what of a range has not been sent.
    @discardableResult
    private func send(_ range: Range<UInt64>, of space: PageSpace, over wire: Wire) throws(Problem) -> UInt64 {
        let pieces = pending[space]?.wanted(range).map(\.source) ?? []
        if pieces.isEmpty { return 0 }
        var head: [UInt8] = []
        space.append(to: &head)
        head.append(littleEndian: UInt32(pieces.count))
        for piece in pieces {
            head.append(littleEndian: piece.lowerBound)
            head.append(littleEndian: piece.upperBound - piece.lowerBound)
        }
        let runs = pieces.map {
            StoredRun(address: $0.lowerBound, size: $0.upperBound - $0.lowerBound, flags: .isPresent)
        }
        let count = runs.reduce(UInt64(0)) { $0 + $1.size }
        let source = try reader(of: space)
        try unsafe buffer.withUnsafeMutableBytes { bytes -> Result<Void, Problem> in
            Result { () throws(Problem) in
                // No range is longer than the buffer.
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<Int(count)])
                try unsafe source.read(runs, into: part)
                if !source.unread.isEmpty { throw unreadable(source.unread[0].lowerBound, space) }
                try unsafe wire.send(.pages, head, UnsafeRawBufferPointer(part))
            }
        }.get()
        for piece in pieces { pending[space]?.settle(piece) }
        sent += count
        return count
    }

    private func reader(of space: PageSpace) throws(Problem) -> RunningPages {
        if let known = readers[space] { return known }
        guard let pid = space.pid else { throw BodyReader.malformed }
        let reader = RunningPages(pid)
        readers[space] = reader
        return reader
    }

    // MARK: Problems

    private func unreadable(_ address: UInt64, _ space: PageSpace) -> Problem {
        Problem(
            .memoryUnreachable, "its memory, which \(host) waits for, cannot be read any more",
            object: .init(pid: space.pid, address: address),
            remedy:
                "If the original has ended, what is left on \(host) waits for ever: see `apus recover --go-back \(uuid)`"
        )
    }

    private var lost: Problem {
        Problem(.connectionLost, "\(host) has closed the connection", remedy: "Run: apus recover")
    }

    private var unserved: Problem {
        Problem(.incomplete, "nobody takes the rest of the memory on \(host) yet", remedy: "Run: apus recover")
    }

    private var incomplete: Problem {
        Problem(
            .incomplete, "the tree runs on \(host), which cannot be reached any more, and part of its memory is here",
            remedy:
                "The original stands still, stopped. When \(host) can be reached again, `apus recover` sends the rest;"
                + " `apus recover --go-back \(uuid)` ends the tree there and continues it here, as it was when it left")
    }

    /// It was ended there.
    static func lost(_ uuid: String, _ host: String) -> Problem {
        Problem(
            .incomplete, "the tree ran on \(host), and was ended there before all of its memory had come",
            remedy:
                "The original stands still, stopped, as it was when it left. To continue it: apus recover --go-back \(uuid)"
        )
    }
}

extension Problem.Code {
    /// A tree runs on the other host, or ran there, without all of its memory.
    public static let incomplete: Self = "migration-incomplete"
}
