public import Diagnostics
internal import Glibc
internal import Images
public import Linux
internal import SystemPackage

/// Joins the terminal of the caller with one that is kept: what is typed here goes there, and what is printed there comes here.
public final class Attachment {
    /// How it was left.
    public enum Outcome: Sendable, Equatable {
        /// By the keys for it, or because the caller's terminal has gone: the program goes on.
        case left
        /// The program has ended; nil where it is not known how.
        case ended(WaitStatus?)
        /// Somebody else has taken the terminal; who, in words.
        case taken(by: String)
        /// A signal asked to stop.
        case stopped(by: Int32)
    }

    private let local: LocalTerminal
    private let socket: OwnedDescriptor
    private let kept: KeptTerminal
    private var incoming: [UInt8] = []
    private var outgoing = WaitingBytes()
    private var escape = EscapeKey()
    private var escapedAt: UInt64 = 0

    private static let mostOnItsWay = 64 << 10

    /// Joins them, until one of the ends is left. The terminal of the caller is as it was when this returns.
    ///
    /// - Parameters:
    ///   - takes: whoever is joined now has to go.
    ///   - told: called with what the user has to know, once it is sure that he is joined.
    /// - Throws: `not-a-terminal`, `terminal-unknown`, `terminal-in-use`, `terminal-lost`.
    public static func run(
        _ kept: KeptTerminal, in folder: TerminalFolder, takes: Bool, told: (String) -> Void
    ) throws(Problem) -> Outcome {
        let local = try LocalTerminal()
        let socket = try folder.connect(kept.id)
        let attachment = Attachment(local, socket, kept)
        try attachment.join(takes)
        told("Joined to process \(kept.pid) (\(kept.name.printable)). \(EscapeKey.name) leaves it running.\n")
        do throws(Errno) { try local.begin() } catch {
            throw Problem(
                .notATerminal, "the terminal cannot be set so that each key is passed on",
                cause: .init(error, attempted: "ioctl(TCSETS)"), remedy: "Start Apus in the foreground of a terminal")
        }
        defer { local.end() }
        return try attachment.pass()
    }

    private init(_ local: LocalTerminal, _ socket: consuming OwnedDescriptor, _ kept: KeptTerminal) {
        self.local = local
        self.kept = kept
        self.socket = socket
    }

    private var lost: Problem {
        Problem(
            .terminalLost, "whoever kept the terminal has gone", object: .init(pid: kept.pid, process: kept.name),
            remedy: "The program was told by SIGHUP, which ends most; see whether it runs: ps -p \(kept.pid)")
    }

    // MARK: Words

    private func say(_ word: TerminalWord) throws(Problem) {
        do throws(Errno) { try Files.write(socket.raw, word.bytes) } catch { throw lost }
    }

    private func join(_ takes: Bool) throws(Problem) {
        let size = local.size
        try say(
            TerminalWord(
                .join,
                [
                    "rows": .integer(Int64(size.rows)), "columns": .integer(Int64(size.columns)),
                    "who": .string(local.userName), "take": .bool(takes),
                ]))
        while true {
            guard let word = try next() else { continue }
            switch word.kind {
            case .joined: return
            case .refused:
                throw Problem(
                    .terminalInUse, "\((word.json["by"]?.string ?? "somebody").printable) is joined to its terminal",
                    object: .init(pid: kept.pid, process: kept.name),
                    remedy: "Wait until that is over, or take it: apus attach --take \(kept.pid)")
            default: throw lost
            }
        }
    }

    /// The next whole word; waits for some of it where none has come.
    private func next() throws(Problem) -> TerminalWord? {
        do throws(Errno) {
            if let word = try TerminalWord.take(from: &incoming) { return word }
            let more = try Files.readSome(socket.raw, atMost: 64 << 10)
            if more.isEmpty { throw Errno.connectionReset }
            incoming += more
            return try TerminalWord.take(from: &incoming)
        } catch {
            throw lost
        }
    }

    // MARK: Passing on

    private func pass() throws(Problem) -> Outcome {
        // What came behind the first word waits already.
        while let word = try? TerminalWord.take(from: &incoming) {
            if let outcome = try hear(word) { return outcome }
        }
        do throws(Errno) {
            try Files.setStatusFlags(socket.raw, try Files.statusFlags(socket.raw).union(.nonBlocking))
        } catch { throw lost }
        while true {
            if let outcome = try step() { return outcome }
        }
    }

    private func step() throws(Problem) -> Outcome? {
        let nothing: Int32 = -1
        let now = SystemClock.monotonic.now
        var entries = [
            Files.PollEntry(local.signals, .readable),
            Files.PollEntry(socket.raw, outgoing.isEmpty ? .readable : [.readable, .writable]),
            Files.PollEntry(outgoing.count < Self.mostOnItsWay ? local.input : nothing, .readable),
        ]
        let limit = escape.isPending ? escapedAt + EscapeKey.patience : nil
        _ = try? Files.poll(&entries, timeout: limit.map { $0 > now ? $0 - now : 0 })
        if entries[0].returned.contains(.readable), let outcome = hearSignals() { return outcome }
        if !entries[2].returned.isEmpty, let outcome = type() { return outcome }
        if escape.isPending, SystemClock.monotonic.now >= escapedAt + EscapeKey.patience {
            send(.input, escape.giveUp())
        }
        do throws(Errno) { try outgoing.write(to: socket.raw) } catch {
            // What it has said before it went is read still.
            _ = outgoing.takeAll()
        }
        guard !entries[1].returned.isDisjoint(with: [.readable, .hangUp, .error]) else { return nil }
        return try listen()
    }

    private func send(_ kind: TerminalWord.Kind, _ body: [UInt8]) {
        if !body.isEmpty { outgoing.append(TerminalWord(kind, body).bytes) }
    }

    private func type() -> Outcome? {
        guard let typed = try? Files.readSome(local.input, atMost: 4096), !typed.isEmpty else { return .left }
        let (passed, leaves) = escape.take(typed)
        send(.input, passed)
        if escape.isPending { escapedAt = SystemClock.monotonic.now }
        guard leaves else { return nil }
        _ = try? outgoing.write(to: socket.raw)
        return .left
    }

    private func hearSignals() -> Outcome? {
        for signal in local.heardSignals() {
            guard signal == SIGWINCH else { return signal == SIGHUP ? .left : .stopped(by: signal) }
            let size = local.size
            outgoing.append(
                TerminalWord(
                    .size, ["rows": .integer(Int64(size.rows)), "columns": .integer(Int64(size.columns))]
                ).bytes)
        }
        return nil
    }

    private func listen() throws(Problem) -> Outcome? {
        do throws(Errno) {
            let more = try Files.readSome(socket.raw, atMost: 64 << 10)
            if more.isEmpty { throw Errno.connectionReset }
            incoming += more
        } catch {
            if error == .wouldBlock || error == .interrupted { return nil }
            throw lost
        }
        while true {
            let word: TerminalWord?
            do throws(Errno) { word = try TerminalWord.take(from: &incoming) } catch { throw lost }
            guard let word else { return nil }
            if let outcome = try hear(word) { return outcome }
        }
    }

    private func hear(_ word: TerminalWord) throws(Problem) -> Outcome? {
        switch word.kind {
        case .output:
            // A terminal that has gone is found out about by what is typed.
            try? Files.write(local.output, word.body)
            return nil
        case .ended:
            return .ended(word.json["status"]?.bits.flatMap { WaitStatus(word: Int32(truncatingIfNeeded: $0)) })
        case .taken: return .taken(by: word.json["by"]?.string ?? "somebody")
        default: throw lost
        }
    }
}
