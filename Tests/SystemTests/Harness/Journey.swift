import Glibc
import Testing

/// Two worlds, between which trees move. Both see the same files; Tests/Programs/link.py is what ssh is between hosts.
final class Journey {
    let source: World
    let target: World
    private var server: Running?
    /// That of the first world, for the way back.
    private var serverHere: Running?

    /// - Parameter there: the environment of Apus in the second world.
    init(there: [String: String] = [:]) throws {
        source = try World()
        target = try World()
        // The pids of what moves are free there; those of Apus itself are others.
        try target.succeed("sh", "-c", "echo 10000 >/proc/sys/kernel/ns_last_pid")
        try serve(there)
    }

    func end() {
        _ = server?.stop()
        _ = serverHere?.stop()
        source.end()
        target.end()
    }

    /// Opens the second world for connections, with another environment for Apus in it.
    func serve(_ there: [String: String]) throws {
        _ = server?.stop()
        _ = unsafe unlink(socket)
        var command = Command(
            ["python3", Programs.path("link.py"), "serve", socket, Place.subject("world"), "run", "\(target.initial)"])
        let members = there.map { "\"\($0.key)\": \"\($0.value)\"" }.joined(separator: ", ")
        command.environment["LINK_THERE"] = "{\(members)}"
        server = try command.start()
        guard eventually({ exists(socket) }) else { throw Failed("no link: \(server?.stop().errors ?? "")") }
    }

    private var socket: String { source.path("link.socket") }

    /// Moves a tree back from the second world to the first.
    ///
    /// - Parameter member: a process in a pid namespace of the second world, which Apus enters.
    func migrateBack(_ pid: Int32, _ options: [String] = [], entering member: Int32? = nil) throws -> Finished {
        let socket = source.path("back.socket")
        if serverHere == nil {
            try source.succeed("sh", "-c", "echo 20000 >/proc/sys/kernel/ns_last_pid")
            serverHere = try Command(
                [
                    "python3", Programs.path("link.py"), "serve", socket, Place.subject("world"), "run",
                    "\(source.initial)",
                ]
            ).start()
            guard eventually({ exists(socket) }) else { throw Failed("no link") }
        }
        let link = "python3 \(Programs.path("link.py")) connect \(socket) 0 0"
        let arguments = [
            "migrate", "\(pid)", "here", "-v4", "-o", source.path("back.log"), "--state-dir",
            source.path("state-there"),
            "--ssh-command", link, "--remote-apus", Place.apus,
        ]
        let entering = member.map { ["nsenter", "-t", "\($0)", "-p", "-m"] } ?? []
        return try target.command(entering + [Place.apus] + arguments + options).run(seconds: 60)
    }

    /// Options for a second world in which Apus says all that it does.
    var talkative: [String] {
        get throws {
            let script = source.path("talkative")
            try write("#!/bin/sh\nexec \(Place.apus) \"$@\" -v4\n", to: script)
            try source.succeed("chmod", "755", script)
            return ["--remote-apus", script]
        }
    }

    /// What Apus has printed in the second world.
    var logThere: String { text(socket + ".log") }

    /// The name of a file that takes the network away while it exists.
    var outage: String { source.path("outage") }

    /// How many frames went there and back in the last migration.
    var frames: (out: Int, back: Int) {
        let numbers = text(source.path("link.frames")).split { !$0.isNumber }.compactMap { Int($0) }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : (0, 0)
    }

    /// Moves the tree of `pid` from the first world to the second.
    ///
    /// - Parameters:
    ///   - cut: after how many frames there and back the link is cut; 0 is never.
    ///   - breaks: the network stays away after the cut.
    func migrate(
        _ pid: Int32, _ options: [String] = [], cut: (out: Int, back: Int) = (0, 0), breaks: Bool = false,
        environment: [String: String] = [:], seconds: Double = 60
    ) throws -> Finished {
        try migration("\(pid)", options, cut: cut, breaks: breaks, environment: environment).wait(seconds: seconds)
    }

    /// Moves trees, as they are named on the command line.
    func migrate(
        _ pids: String, _ options: [String] = [], cut: (out: Int, back: Int) = (0, 0), breaks: Bool = false,
        environment: [String: String] = [:], seconds: Double = 60
    ) throws -> Finished {
        try migration(pids, options, cut: cut, breaks: breaks, environment: environment).wait(seconds: seconds)
    }

    /// The same of one tree, which goes on.
    func migration(
        _ pid: Int32, _ options: [String] = [], cut: (out: Int, back: Int) = (0, 0), breaks: Bool = false,
        environment: [String: String] = [:]
    ) throws -> Running {
        try migration("\(pid)", options, cut: cut, breaks: breaks, environment: environment)
    }

    private func migration(
        _ pids: String, _ options: [String], cut: (out: Int, back: Int), breaks: Bool, environment: [String: String]
    ) throws -> Running {
        let link = ["python3", Programs.path("link.py"), "connect", socket, "\(cut.out)", "\(cut.back)"]
        var variables = environment
        variables["LINK_LOG"] = source.path("link.frames")
        variables["LINK_DOWN"] = outage
        if breaks { variables["LINK_BREAKS"] = "1" }
        var command = source.command(
            [Place.apus, "migrate", pids, "there", "-v4", "-o", source.path("migrate.log"), "--state-dir", state]
                + ["--ssh-command", link.joined(separator: " "), "--remote-apus", Place.apus] + options)
        command.environment = variables
        return try command.start()
    }

    /// Whether a process of a world is Apus with such an argument.
    func isApus(_ argument: String, _ pid: Int32, in world: World? = nil) -> Bool {
        let arguments = text("\((world ?? target).proc)/\(pid)/cmdline").split(separator: "\0").map(String.init)
        return arguments.contains(argument) && arguments.first != "python3"
            && (arguments.first == "/proc/self/exe" || arguments.first?.hasSuffix("apus") == true)
    }

    /// Where Apus of the first world keeps its records.
    var state: String { source.path("state") }

    /// Settles what is in doubt.
    func recover(_ options: [String] = []) throws -> Finished {
        try source.apus(
            ["recover", "--state-dir", state] + options,
            environment: ["LINK_DOWN": outage, "APUS_TEST_SETTLING_TIME": "1"])
    }

    /// The children of a process of the first world.
    func children(of pid: Int32) -> [Int32] {
        text("\(source.proc)/\(pid)/task/\(pid)/children").split(separator: " ").compactMap { Int32($0) }
    }

    /// The pid that a process has in the second world: another than its own where it has come into a pid namespace there.
    func pidThere(_ pid: Int32) -> Int32? {
        target.processes.first { candidate in
            let line = text("\(target.proc)/\(candidate)/status").split(separator: "\n").first {
                $0.hasPrefix("NSpid:")
            }
            return line?.split(separator: "\t").last.flatMap { Int32($0) } == pid && target.isAlive(candidate)
        }
    }

    /// In which of the worlds a process runs: it is there, and not stopped.
    func runs(_ pid: Int32) -> (here: Bool, there: Bool) {
        (isRunning(pid, source), pidThere(pid).map { isRunning($0, target) } ?? false)
    }

    private func isRunning(_ pid: Int32, _ world: World) -> Bool {
        world.isAlive(pid) && !text("\(world.proc)/\(pid)/status").contains("State:\tT")
    }
}

/// A test with two worlds.
func withJourney<Result>(there: [String: String] = [:], _ body: (Journey) throws -> Result) throws -> Result {
    let journey = try Journey(there: there)
    defer { journey.end() }
    return try body(journey)
}
