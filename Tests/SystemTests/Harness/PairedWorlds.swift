import Glibc
import Testing

/// Two worlds that reach each other by `apus receive --listen` and `apus migrate --to tls`, through Tests/Programs/tcp_link.py.
final class PairedWorlds {
    let source: World
    let target: World
    /// Takes trees in the second world.
    let listener: Running
    private let link: Running
    /// Where the listener listens, and where the link does.
    let (port, linkPort): (Int, Int)

    init() throws {
        source = try World()
        target = try World()
        // The pids of what moves are free there; those of Apus itself are others.
        try target.succeed("sh", "-c", "echo 10000 >/proc/sys/kernel/ns_last_pid")
        // A listener needs a key.
        try target.succeed(Place.apus, "receive", "--init", "--state-dir", source.path("state-there"))
        (listener, port) = try Self.listen(in: target, "127.0.0.1:0", source.path("state-there"))
        link = try Command(["python3", Programs.path("tcp_link.py"), "\(port)", source.path("link")]).start()
        let link = link
        guard eventually({ link.outputSoFar.hasSuffix("\n") }), let number = Int(link.outputSoFar.dropLast()) else {
            throw Failed("no link: \(link.stop())")
        }
        linkPort = number
    }

    private static func listen(in world: World, _ address: String, _ state: String) throws -> (Running, Int) {
        let listener = try world.command(
            [Place.apus, "receive", "--listen", address, "--state-dir", state, "-v3"]
        ).start()
        guard eventually({ listener.outputSoFar.hasSuffix("\n") }),
            let port = listener.outputSoFar.dropLast().split(separator: ":").last.flatMap({ Int($0) })
        else { throw Failed("nobody listens: \(listener.stop())") }
        return (listener, port)
    }

    func end() {
        _ = link.stop()
        _ = listener.stop()
        source.end()
        target.end()
    }

    var state: String { source.path("state") }
    var stateThere: String { source.path("state-there") }

    /// A token of the second world.
    func token() throws -> String {
        try target.succeed(Place.apus, "receive", "--init", "--state-dir", stateThere)
    }

    /// Has the first world use a token.
    func pair(_ token: String, _ options: [String] = []) throws -> Finished {
        let running = try source.command(
            [Place.apus, "migrate", "--pair", "127.0.0.1:\(port)", "--state-dir", state] + options
        ).start()
        running.type(Array(token.utf8))
        running.closeInput()
        return running.wait(seconds: 30)
    }

    /// Moves the tree of `pid` to the second world.
    ///
    /// - Parameters:
    ///   - cut: after how many records there and back the link is cut; 0 is never.
    ///   - breaks: the network stays away after the cut.
    func migrate(
        _ pid: Int32, _ options: [String] = [], cut: (there: Int, back: Int) = (0, 0), breaks: Bool = false,
        environment: [String: String] = [:]
    ) throws -> Finished {
        try write("\(cut.there) \(cut.back)\(breaks ? " breaks" : "")\n", to: source.path("link.cut"))
        _ = unsafe unlink(source.path("link.records"))
        return try source.apus(
            [
                "migrate", "\(pid)", "127.0.0.1:\(linkPort)", "--to", "tls", "-v4", "-o", source.path("migrate.log"),
                "--state-dir", state,
            ] + options, environment: environment, seconds: 60)
    }

    /// How many records went there and back in the last migration.
    var records: (there: Int, back: Int)? {
        let numbers = text(source.path("link.records")).split { !$0.isNumber }.compactMap { Int($0) }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }

    /// The network works again.
    func repair() { _ = unsafe unlink(source.path("link.down")) }

    /// Settles what is in doubt.
    func recover() throws -> Finished { try source.apus(["recover", "--state-dir", state]) }

    /// In which of the worlds a process runs: it is there, and not stopped.
    func runs(_ pid: Int32) -> (here: Bool, there: Bool) { (isRunning(pid, source), isRunning(pid, target)) }

    private func isRunning(_ pid: Int32, _ world: World) -> Bool {
        world.isAlive(pid) && !text("\(world.proc)/\(pid)/status").contains("State:\tT")
    }

    /// The processes of the second world, but for the listener and what it has started.
    var treesThere: [Int32] {
        target.processes.filter { pid in
            target.isAlive(pid)
                && !text("\(target.proc)/\(pid)/cmdline").split(separator: "\0").contains { $0 == "receive" }
        }
    }

    /// Tells the listener to end.
    func endListener() {
        let apus = target.processes.filter {
            text("\(target.proc)/\($0)/cmdline").split(separator: "\0").contains { $0 == "--listen" }
        }
        for pid in apus { target.signal(SIGTERM, pid) }
    }

    /// What the listener has printed.
    var log: String { listener.errorsSoFar }
}

/// A test with two worlds that are paired.
func withPairedWorlds<Result>(_ body: (PairedWorlds) throws -> Result) throws -> Result {
    let worlds = try PairedWorlds()
    defer { worlds.end() }
    let paired = try worlds.pair(try worlds.token())
    try #require(paired.status == 0, "\(paired)\n\(worlds.log)")
    return try body(worlds)
}
