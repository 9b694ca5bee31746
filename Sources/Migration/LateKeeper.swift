internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Synchronization
internal import SystemPackage

/// A process beside the one that serves late pages (`apus receive --keeper`), seen from the one that serves.
///
/// With the last copy of its descriptor the watch over a memory ends, and the program would go on with zeros in place of the pages
/// that have yet to come. So the keeper has a copy of each, and when the one that serves dies, ends the tree before it lets go.
final class LateKeeper: Sendable {
    /// What is said to it: a letter, and what belongs to that.
    enum Word {
        /// JSON follows: which tree it is.
        static let tree = UInt8(ascii: "t")
        /// A descriptor comes with it, and its number here: hold it.
        static let hold = UInt8(ascii: "h")
        /// The number of one that is not needed any more.
        static let letGo = UInt8(ascii: "g")
        /// A file comes with it whose lock says that somebody is at work: keep it open.
        static let lock = UInt8(ascii: "l")
        /// End the tree.
        static let end = UInt8(ascii: "e")
        /// All is well: there is nothing to keep.
        static let dismissed = UInt8(ascii: "d")
    }

    private struct State {
        var socket: SharedDescriptor?
        /// What a new one has to be told.
        var tree: [UInt8] = []
    }

    private let command: [String]
    private let uuid: String
    private let journal: Journal
    private let lock: SharedDescriptor?
    private let state: Mutex<State>

    /// Starts it.
    ///
    /// - Parameters:
    ///   - options: of the destination.
    ///   - uuid: of the migration.
    /// - Throws: `state-unwritable`; where the process cannot be started.
    init(_ options: Arrival.Options, _ uuid: String) throws(Problem) {
        command = [
            "/proc/self/exe", "receive", "--keeper", "--no-default-config", "--state-dir",
            options.stateDirectory.string, "-v0",
        ]
        self.uuid = uuid
        journal = Journal(of: .arrivals, in: options.stateDirectory)
        lock = SharedDescriptor(try journal.serve(uuid))
        do throws(Errno) { state = Mutex(State(socket: try Self.start(command))) } catch {
            throw Problem(
                .noKeeper, "the process that watches over late pages cannot be started",
                cause: .init(error, attempted: "posix_spawn"), remedy: "Migrate without --postcopy")
        }
        if let lock { say([Word.lock], [lock.descriptor.raw]) }
    }

    private static func start(_ command: [String]) throws(Errno) -> SharedDescriptor {
        let pair = try Files.socketPair(type: Sockets.sequencedPackets)
        let nothing = try Files.open("/dev/null", .readWrite)
        // Whoever reads what this process prints must not wait for the end of the keeper.
        _ = try Subprocess.spawn(
            command, session: true,
            descriptors: [(there: 0, here: pair.second.raw), (1, nothing.raw), (2, nothing.raw)])
        return SharedDescriptor(pair.first)
    }

    /// Whether it is there.
    var isThere: Bool {
        state.withLock { state in
            guard let socket = state.socket else { return false }
            var entries = [Files.PollEntry(socket.descriptor.raw, .peerClosed)]
            guard let ready = try? Files.poll(&entries, timeout: 0), ready > 0 else { return true }
            return entries[0].returned.isDisjoint(with: [.hangUp, .peerClosed, .error])
        }
    }

    /// Tells it which tree it is.
    func take(_ record: Journal.Record) {
        let words = [Word.tree] + Array(record.json.text(indented: false).utf8)
        state.withLock { $0.tree = words }
        say(words)
    }

    /// Has it hold a copy. From the return on the memory is safe: what is on its way over the socket is held by that.
    func hold(_ faults: UserFaults) { say([Word.hold] + Self.number(faults), [faults.raw]) }

    /// It need not hold a copy any more.
    func letGo(_ faults: UserFaults) { say([Word.letGo] + Self.number(faults)) }

    /// Starts another one in place of one that has died.
    func renew(_ all: [UserFaults]) {
        guard let socket = try? Self.start(command) else { return }
        let tree = state.withLock { state in
            state.socket = socket
            return state.tree
        }
        if let lock { say([Word.lock], [lock.descriptor.raw]) }
        if !tree.isEmpty { say(tree) }
        for faults in all { hold(faults) }
    }

    /// All is well.
    func dismiss() {
        say([Word.dismissed])
        journal.removeServing(uuid)
        state.withLock { $0.socket = nil }
    }

    /// Has it end the tree, and waits for that.
    func endTree() {
        say([Word.end])
        let socket = state.withLock { $0.socket }
        guard let socket else { return }
        var entries = [Files.PollEntry(socket.descriptor.raw, .peerClosed)]
        while entries[0].returned.isDisjoint(with: [.hangUp, .peerClosed]) {
            _ = try? Files.poll(&entries, timeout: 1_000_000_000)
        }
    }

    private static func number(_ faults: UserFaults) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: faults.raw >> (8 * $0)) }
    }

    private func say(_ words: [UInt8], _ descriptors: [Int32] = []) {
        var message = SocketMessage(words)
        message.descriptors = descriptors
        state.withLock { state in
            guard let socket = state.socket else { return }
            while true {
                do throws(Errno) {
                    try Sockets.send(socket.descriptor.raw, message)
                    return
                } catch .resourceTemporarilyUnavailable {
                    // It has much to take.
                    var entries = [Files.PollEntry(socket.descriptor.raw, .writable)]
                    _ = try? Files.poll(&entries, timeout: 100_000_000)
                } catch {
                    // It has gone: it is started anew (`renew`).
                    return
                }
            }
        }
    }
}

extension Problem.Code {
    /// The process that would watch over late pages is not to be had.
    static let noKeeper: Self = "no-keeper"
}
