internal import Diagnostics
internal import Images
internal import Linux
internal import Synchronization
internal import SystemPackage

/// A connection to the other host, over which frames travel. Several threads may send; one receives.
final class Wire: Sendable {
    private let input: OwnedDescriptor
    private let output: OwnedDescriptor
    /// One frame after another.
    private let sending = Mutex<UInt64>(0)
    /// How the other side is called, for messages.
    let peer: String

    /// How long nothing may come before the other side counts as gone, in nanoseconds: while it works, it says so each second.
    static let patience: UInt64 = 15_000_000_000
    /// The same while the other side may be looking at a large tree, or at its files.
    static let longPatience: UInt64 = 600_000_000_000

    /// - Parameters:
    ///   - input: where frames come from, and output: where they go.
    init(input: consuming OwnedDescriptor, output: consuming OwnedDescriptor, peer: String) {
        self.input = input
        self.output = output
        self.peer = peer
        for descriptor in [self.input.raw, self.output.raw] {
            if let flags = try? Files.statusFlags(descriptor) {
                try? Files.setStatusFlags(descriptor, flags.union(.nonBlocking))
            }
            // A pipe that holds more lets both sides work at the same time. Of a socket it is not possible.
            _ = try? Files.setPipeCapacity(descriptor, 1 << 20)
        }
    }

    /// No signal and no clock ends a wait: what is said now has to be heard.
    var isDetermined: Bool {
        get { determined.load(ordering: .relaxed) }
        set { determined.store(newValue, ordering: .relaxed) }
    }

    private let determined = Atomic<Bool>(false)

    /// For how long the other side took nothing of what was to be sent, in nanoseconds.
    var waited: UInt64 { waiting.load(ordering: .relaxed) }
    private let waiting = Atomic<UInt64>(0)

    /// Of its two ends, to be handed over to another process.
    var descriptors: (input: Int32, output: Int32) { (input.raw, output.raw) }

    /// Ends the connection; nothing can be sent or received any more.
    func close() {
        guard let nothing = try? Files.open("/dev/null", .readWrite) else { return }
        // The numbers go on belonging to this object.
        for descriptor in [input.raw, output.raw] { try? Files.duplicate(nothing.raw, as: descriptor) }
    }

    /// The number of the descriptor that frames come from, to wait for one.
    var inputNumber: Int32 { input.raw }
    /// The numbers of both descriptors, to hand copies of them to another process.
    var numbers: [Int32] { [input.raw, output.raw] }

    /// How many bytes have been sent.
    var sent: UInt64 { sending.withLock { $0 } }

    // MARK: Sending

    /// - Throws: `connection-lost`, `interrupted`, `timed-out`.
    func send(_ kind: Frame.Kind, _ body: [UInt8] = []) throws(Problem) { try send(kind, [body]) }

    func send(_ kind: Frame.Kind, _ json: JSON) throws(Problem) {
        try send(kind, Array(json.text(indented: false).utf8))
    }

    /// Sends a frame whose body is made of parts.
    func send(_ kind: Frame.Kind, _ parts: [[UInt8]]) throws(Problem) {
        let size = parts.reduce(0) { $0 + $1.count }
        let result = sending.withLock { sent -> Result<Void, Problem> in
            Result { () throws(Problem) in
                for part in [Frame.header(kind, bodySize: size)] + parts {
                    try unsafe part.withUnsafeBytes { bytes -> Result<Void, Problem> in
                        Result { () throws(Problem) in try unsafe write(bytes) }
                    }.get()
                }
                sent += UInt64(Frame.headerSize + size)
            }
        }
        try result.get()
    }

    /// Sends a frame whose body ends with bytes of the caller's.
    @unsafe func send(_ kind: Frame.Kind, _ start: [UInt8], _ rest: UnsafeRawBufferPointer) throws(Problem) {
        let size = start.count + rest.count
        // unsafe: the caller lends the bytes until this returns.
        nonisolated(unsafe) let bytes = unsafe rest
        let result = sending.withLock { sent -> Result<Void, Problem> in
            Result { () throws(Problem) in
                let head = Frame.header(kind, bodySize: size) + start
                try unsafe head.withUnsafeBytes { bytes -> Result<Void, Problem> in
                    Result { () throws(Problem) in try unsafe write(bytes) }
                }.get()
                try unsafe write(bytes)
                sent += UInt64(Frame.headerSize + size)
            }
        }
        try result.get()
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(Problem) {
        var done = 0
        var limit = SystemClock.monotonic.now + Self.patience
        while done < bytes.count {
            do throws(Errno) {
                // `done` never exceeds the count.
                let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
                done += try unsafe Files.writeSome(output.raw, from: rest)
                limit = SystemClock.monotonic.now + Self.patience
            } catch .wouldBlock {
                let start = SystemClock.monotonic.now
                try waitFor(output.raw, .writable, until: limit, Self.patience)
                waiting.add(SystemClock.monotonic.now - start, ordering: .relaxed)
            } catch {
                throw lost(error, "write")
            }
        }
    }

    // MARK: Receiving

    /// Receives the next frame.
    ///
    /// - Parameter patience: how long nothing may come, in nanoseconds; nil waits for ever.
    /// - Returns: nil where the other side has closed the connection between two frames.
    /// - Throws: `connection-lost`, `no-answer`, `protocol`, `interrupted`, `timed-out`.
    func receive(patience: UInt64? = Wire.patience) throws(Problem) -> Frame? {
        let header = try read(Frame.headerSize, patience, mayEnd: true)
        if header.isEmpty { return nil }
        let (kind, size) = try Frame.parse(header)
        return Frame(kind: kind, body: size == 0 ? [] : try read(size, Self.patience, mayEnd: false))
    }

    /// Whether something has come.
    var hasInput: Bool {
        var entries = [Files.PollEntry(input.raw, .readable)]
        return ((try? Files.poll(&entries, timeout: 0)) ?? 0) > 0
    }

    private func read(_ count: Int, _ patience: UInt64?, mayEnd: Bool) throws(Problem) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        var limit = patience.map { SystemClock.monotonic.now + $0 }
        while bytes.count < count {
            do throws(Errno) {
                let got = try Files.readSome(input.raw, atMost: count - bytes.count)
                if got.isEmpty {
                    if mayEnd, bytes.isEmpty { return [] }
                    throw Errno.connectionReset
                }
                bytes += got
                limit = patience.map { SystemClock.monotonic.now + $0 }
            } catch .wouldBlock {
                try waitFor(input.raw, .readable, until: limit, patience ?? 0)
            } catch {
                throw lost(error, "read")
            }
        }
        return bytes
    }

    /// Waits for a moment, or throws where the time is over or somebody wants the work to stop.
    private func waitFor(_ descriptor: Int32, _ events: Files.PollEvents, until limit: UInt64?, _ patience: UInt64)
        throws(Problem)
    {
        if !isDetermined { try Cancellation.check() }
        if let limit, SystemClock.monotonic.now > limit {
            throw Problem(
                .noAnswer, "\(peer) has not answered for \(patience / 1_000_000_000) seconds",
                remedy: "See whether the network between the hosts works")
        }
        var entries = [Files.PollEntry(descriptor, events)]
        do throws(Errno) {
            _ = try Files.poll(&entries, timeout: 200_000_000)
        } catch {
            if error != .interrupted { throw lost(error, "poll") }
        }
    }

    private func lost(_ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .connectionLost, "the connection to \(peer) is gone", cause: .init(error, attempted: attempted),
            remedy: "See that the other host runs and can be reached, and that `apus` is installed there")
    }
}
