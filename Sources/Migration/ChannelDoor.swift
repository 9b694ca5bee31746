internal import Bundles
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Logging
internal import Synchronization
internal import SystemPackage

/// Where the other connections of a migration come in, on the host that the tree comes to.
///
/// Each of them reaches a process of its own (``ChannelGuest``), which knocks here, at a socket in the scratch folder, and hands its
/// connection over.
final class ChannelDoor: Sendable {
    /// In the scratch folder.
    static let name = "channels"
    /// Longer messages than a guest has are none.
    static let longestMessage = 1000
    static let mostChannels = 16

    /// One that has come.
    private final class Channel: Sendable {
        let wire: Wire
        /// Open for as long as the channel is in use: its process waits for the end of that.
        private let guest: OwnedDescriptor
        private let thread = Mutex(Held())
        private struct Held: ~Copyable { var thread: HelperThread? }

        init(_ wire: Wire, _ guest: consuming OwnedDescriptor) {
            self.wire = wire
            self.guest = guest
        }

        func start(_ work: @escaping @Sendable () -> Void) { thread.withLock { $0.thread = HelperThread(work) } }
        func join() { thread.withLock { $0.thread.take()?.join() } }
    }

    private struct State {
        var channels: [Int: Channel] = [:]
        /// How many have said that they have come to their end.
        var finished = 0
        var failure: Problem?
    }

    private let secret: [UInt8]
    private let count: Int
    private let store: PageStore
    private let socket: OwnedDescriptor
    private let logger: Logger
    private let state = Mutex(State())
    private let isOver = Atomic(false)
    private let porter = Mutex(Porter())
    private struct Porter: ~Copyable { var thread: HelperThread? }

    /// Opens the door.
    ///
    /// - Parameters:
    ///   - wishes: what the source has said.
    ///   - folder: for root alone.
    /// - Throws: `protocol`; `channels-unusable` where it cannot be opened.
    init(_ wishes: JSON, in folder: FilePath, _ store: PageStore, _ logger: Logger) throws(Problem) {
        guard let secret = wishes["secret"]?.string, secret.utf8.count >= 32,
            secret.utf8.count < Self.longestMessage / 2,
            let count = wishes["count"]?.bits.flatMap({ Int(exactly: $0) }), (1..<Self.mostChannels).contains(count)
        else { throw BodyReader.malformed }
        self.secret = Array(secret.utf8)
        self.count = count
        self.store = store
        self.logger = logger
        do throws(Errno) {
            socket = try Sockets.make(Sockets.unix, Sockets.stream)
            try Sockets.bind(socket.raw, ChannelGuest.address(folder))
            try Sockets.listen(socket.raw, backlog: Int32(count))
        } catch {
            throw Problem(
                .channelsUnusable, "no other connections can be taken", object: .init(path: folder.string),
                cause: .init(error, attempted: "bind, listen"), remedy: "Migrate without --channels")
        }
        porter.withLock { porter in porter.thread = HelperThread { [self] in receive() } }
    }

    /// Why one of them has failed; nil where all are well.
    var failure: Problem? { state.withLock { $0.failure } }

    // MARK: Coming in

    private func receive() {
        while !isOver.load(ordering: .relaxed), state.withLock({ $0.channels.count < count }) {
            var entries = [Files.PollEntry(socket.raw, .readable)]
            guard ((try? Files.poll(&entries, timeout: 100_000_000)) ?? 0) > 0 else { continue }
            do throws(Errno) { try take(try Sockets.accept(socket.raw)) } catch {
                logger.warning("a connection of the migration could not be taken: \(error)")
            }
        }
    }

    private func take(_ guest: consuming OwnedDescriptor) throws(Errno) {
        guard let peer = try Sockets.peerCredentials(of: guest.raw), peer.uid == geteuid() else {
            throw .notPermitted
        }
        var entries = [Files.PollEntry(guest.raw, .readable)]
        guard try Files.poll(&entries, timeout: 5_000_000_000, retrying: true) > 0 else { throw .timedOut }
        // A look at the message gives what comes with it, and leaves it there.
        let message = try Sockets.peek(guest.raw, atMost: Self.longestMessage)
        _ = try Files.readSome(guest.raw, atMost: Self.longestMessage)
        guard message.descriptors.count == 2 else {
            for descriptor in message.descriptors { try? Files.close(descriptor) }
            throw .badMessage
        }
        let wire = Wire(
            input: OwnedDescriptor(owning: message.descriptors[0]),
            output: OwnedDescriptor(owning: message.descriptors[1]), peer: "the source")
        let words = JSON(parsing: message.payload)
        guard let number = words?["number"]?.bits.flatMap({ Int(exactly: $0) }), (1...count).contains(number),
            isSecret(Array((words?["secret"]?.string ?? "").utf8))
        else {
            logger.warning("who wanted to join the migration does not know its secret")
            throw .permissionDenied
        }
        let channel = Channel(wire, guest)
        let isNew = state.withLock { state -> Bool in
            if state.channels[number] != nil { return false }
            state.channels[number] = channel
            return true
        }
        guard isNew else { throw .fileExists }
        channel.start { [self] in serve(wire, number) }
    }

    /// All of it is compared, however early it differs.
    private func isSecret(_ given: [UInt8]) -> Bool {
        guard given.count == secret.count else { return false }
        return zip(given, secret).reduce(UInt8(0)) { $0 | $1.0 ^ $1.1 } == 0
    }

    // MARK: Pages

    /// Takes what comes over a channel, until the source says that it is all.
    private func serve(_ wire: Wire, _ number: Int) {
        let pulse = Pulse(wire)
        defer { pulse.end() }
        do throws(Problem) {
            try wire.send(.welcome, ["number": .integer(Int64(number))])
            let unpacker = BlockUnpacker()
            while true {
                guard var frame = try wire.receive(patience: Wire.longPatience) else { throw Self.closed }
                if frame.kind == .packed { frame = try PackedFrame.open(frame.body, unpacker) }
                switch frame.kind {
                case .pages, .sparse: _ = try store.take(frame.body, isSparse: frame.kind == .sparse)
                case .round: try wire.send(.received)
                case .finished:
                    state.withLock { $0.finished += 1 }
                    return try wire.send(.received)
                case .alive: continue
                default: throw BodyReader.malformed
                }
            }
        } catch {
            if isOver.load(ordering: .relaxed) { return }
            state.withLock { $0.failure = $0.failure ?? error }
            logger.info("channel \(number): \(error.description)")
            // The source is to know why; it will give up.
            try? wire.send(.failed, ["problems": JSON.problems([error])])
        }
    }

    private static let closed = Problem(
        .connectionLost, "the source has closed one of several connections",
        remedy: "Nothing is left here; migrate again")

    // MARK: The end

    /// All pages are there: nobody works here any more. The connections stay until this object goes.
    ///
    /// - Throws: why one of them has failed; `protocol` where one has not said that it has come to its end.
    func close() throws(Problem) {
        if let failure { throw failure }
        guard state.withLock({ $0.finished == $0.channels.count }) else { throw BodyReader.malformed }
        end(isWaiting: true)
    }

    /// Nothing is to come any more.
    func abandon() { end(isWaiting: false) }

    private func end(isWaiting: Bool) {
        let channels = state.withLock { Array($0.channels.values) }
        if !isWaiting {
            isOver.store(true, ordering: .relaxed)
            channels.forEach { $0.wire.close() }
        }
        channels.forEach { $0.join() }
        isOver.store(true, ordering: .relaxed)
        porter.withLock { $0.thread.take()?.join() }
    }
}

extension Problem.Code {
    /// The other connections of a migration cannot be had.
    static let channelsUnusable: Self = "channels-unusable"
}
