internal import Diagnostics
internal import Linux
internal import SystemPackage

/// Somebody who has connected to the keeper of a terminal.
final class Guest {
    private let socket: OwnedDescriptor
    /// The process that he has connected by, as the kernel says (SO_PEERCRED).
    private let pid: Int32
    private var incoming: [UInt8] = []
    private var outgoing = WaitingBytes()
    /// What he calls himself.
    var name = ""
    /// What is left to be said is said before the connection is closed, and nothing is heard any more.
    private(set) var isLeaving = false
    /// Since when nothing has been taken of what he is to have, or when he came; on the monotonic clock.
    private(set) var quietSince = SystemClock.monotonic.now

    init(_ socket: consuming OwnedDescriptor, pid: Int32) throws(Errno) {
        self.socket = socket
        self.pid = pid
        try Files.setStatusFlags(self.socket.raw, try Files.statusFlags(self.socket.raw).union(.nonBlocking))
    }

    /// How others are told of him.
    var description: String { (name.isEmpty ? "somebody" : name.printable) + " (process \(pid))" }

    /// How many bytes he is yet to take.
    var unheard: Int { outgoing.count }

    func say(_ word: TerminalWord) {
        if outgoing.isEmpty { quietSince = SystemClock.monotonic.now }
        outgoing.append(word.bytes)
    }

    func say(_ output: [UInt8]) {
        for start in stride(from: 0, to: output.count, by: TerminalWord.longest) {
            say(TerminalWord(.output, Array(output[start...].prefix(TerminalWord.longest))))
        }
    }

    func leave() { isLeaving = true }

    /// What is to be waited for.
    ///
    /// - Parameter hears: whether there is room for what he says.
    func entry(hears: Bool) -> Files.PollEntry {
        var events: Files.PollEvents = hears && !isLeaving ? .readable : []
        if !outgoing.isEmpty { events.insert(.writable) }
        return Files.PollEntry(socket.raw, events)
    }

    /// Sends what he takes now.
    ///
    /// - Returns: whether he is still there.
    func flush() -> Bool {
        do throws(Errno) {
            if try outgoing.write(to: socket.raw) > 0 { quietSince = SystemClock.monotonic.now }
            return !isLeaving || !outgoing.isEmpty
        } catch {
            return false
        }
    }

    /// What he has said.
    ///
    /// - Returns: nil where he has gone, or says what nobody understands.
    func hear() -> [TerminalWord]? {
        do throws(Errno) {
            let more = try Files.readSome(socket.raw, atMost: 32 << 10)
            if more.isEmpty { return nil }
            incoming += more
            var words: [TerminalWord] = []
            while let word = try TerminalWord.take(from: &incoming) { words.append(word) }
            return words
        } catch {
            return error == .wouldBlock ? [] : nil
        }
    }
}
