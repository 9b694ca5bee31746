public import Diagnostics
internal import Glibc
internal import Images
internal import Linux
public import Logging
internal import SystemPackage

/// The keeper itself: ``LateKeeper`` says what it is for.
public struct LateKeeping {
    private let journal: Journal
    private let logger: Logger
    private var held: [UInt32: UserFaults] = [:]
    private var locks: [SharedDescriptor] = []
    private var tree: Journal.Record?

    /// - Parameter options: of the host that the tree has come to.
    public init(_ options: Arrival.Options, logger: Logger) {
        journal = Journal(of: .arrivals, in: options.stateDirectory)
        self.logger = logger
    }

    /// Keeps what comes over the standard input, until it is dismissed or left alone.
    ///
    /// - Returns: the exit status.
    public mutating func run() throws(Problem) -> Int32 {
        // What ends others must not end this: it is the last one.
        for number in [SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGPIPE] { _ = signal(number, SIG_IGN) }
        waiting: while true {
            var entries = [Files.PollEntry(0, .readable)]
            _ = try? Files.poll(&entries, timeout: nil, retrying: true)
            do throws(Errno) {
                let message = try Sockets.receive(0, atMost: 1 << 20)
                if message.payload.isEmpty { break waiting }
                switch take(message) {
                case .goOn: continue
                case .dismissed: return 0
                case .endTree: break waiting
                }
            } catch .wouldBlock {
                continue
            } catch {
                break waiting
            }
        }
        // Whoever served is dead, or wants it.
        try endTree()
        return 0
    }

    private enum Next { case goOn, dismissed, endTree }

    private mutating func take(_ message: SocketMessage) -> Next {
        var descriptors = message.descriptors.map { OwnedDescriptorBox(OwnedDescriptor(owning: $0)) }
        let body = Array(message.payload.dropFirst())
        func number() -> UInt32? { body.count == 4 ? body.reversed().reduce(0) { $0 << 8 | UInt32($1) } : nil }
        switch message.payload[0] {
        case LateKeeper.Word.tree: tree = JSON(parsing: body).flatMap { Journal.Record($0) }
        case LateKeeper.Word.hold:
            if let number = number(), let file = descriptors.popLast()?.take() {
                held[number] = UserFaults(owning: file)
            }
        case LateKeeper.Word.letGo: if let number = number() { held[number] = nil }
        case LateKeeper.Word.lock: if let file = descriptors.popLast()?.take() { locks.append(SharedDescriptor(file)) }
        case LateKeeper.Word.end: return .endTree
        case LateKeeper.Word.dismissed: return .dismissed
        default: break
        }
        return .goOn
    }

    private final class OwnedDescriptorBox {
        private var descriptor: OwnedDescriptor?
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = consume descriptor }
        func take() -> OwnedDescriptor? { descriptor.take() }
    }

    /// Ends what must not go on, and writes down that it has.
    private mutating func endTree() throws(Problem) {
        guard let tree, let record = try journal.record(tree.uuid) else { return }
        switch record.state {
        case .asked, .aborted, .released, .lost: return
        case .releasing:
            // It may not have been let run: then it goes by itself.
            for _ in 0..<20 where LateTree.isThere(tree) { usleep(100_000) }
            if !LateTree.isThere(tree) { return }
        case .partial: break
        }
        // A process that has left the tree without a trace waits for its pages for ever; until somebody ends it nothing is said.
        repeat {
            LateTree.end(tree)
            held = held.filter { !$0.value.hasEnded }
            if !held.isEmpty || LateTree.isThere(tree) { usleep(20_000) }
        } while !held.isEmpty || LateTree.isThere(tree)
        let lock = try journal.lock(tree.uuid)
        defer { withExtendedLifetime(lock) {} }
        try journal.write(.init(uuid: tree.uuid, state: .lost, pid: 0, processes: [], peer: "", command: []))
        journal.removeServing(tree.uuid)
    }
}

/// The processes of a tree that has arrived, and those that they have made since.
enum LateTree {
    /// Whether one of those is there that have arrived.
    static func isThere(_ record: Journal.Record) -> Bool { !members(record).isEmpty }

    /// Ends all of them: first they are stopped, so that none makes another meanwhile.
    static func end(_ record: Journal.Record) {
        var known: Set<Int32> = []
        while true {
            let all = Set(members(record))
            for pid in all.subtracting(known) { try? Processes.kill(pid, signal: SIGSTOP) }
            if all.isSubset(of: known) { break }
            known.formUnion(all)
        }
        for pid in known { try? Processes.kill(pid, signal: SIGKILL) }
    }

    private static func members(_ record: Journal.Record) -> [Int32] {
        var found: [Int32] = []
        var pending = record.candidates.filter { process in
            (try? ProcessDirectory(process.pid).stat())?.startTime == process.start
        }.map(\.pid)
        while let pid = pending.popLast() {
            guard !found.contains(pid), let stat = try? ProcessDirectory(pid).stat() else { continue }
            pending += (try? Procfs.live.children(of: pid)) ?? []
            if stat.state != .zombie { found.append(pid) }
        }
        return found
    }
}
