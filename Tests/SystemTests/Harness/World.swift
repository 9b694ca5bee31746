import Glibc

/// Pid and mount namespaces of their own for one test, a folder for its files, and Apus in it. All processes in it die, and its
/// folder goes, when the test is over, however it ends.
final class World {
    /// Made for this world alone.
    let folder: String
    /// The init of the world, as seen from outside.
    let initial: Int32
    private let holder: Running

    init() throws(Failed) {
        var template = Array("/tmp/apus-test.XXXXXX\0".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw Failed("no temporary folder: errno \(errno)") }
        let path = unsafe template.withUnsafeBufferPointer { buffer in
            unsafe String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        // Tests with other users look in.
        _ = unsafe chmod(path, 0o755)
        let holder = try Command([Place.subject("world"), "init"]).start()
        guard eventually({ holder.outputSoFar.hasSuffix("\n") }), let pid = Int32(holder.outputSoFar.dropLast()) else {
            throw Failed("no world: \(holder.stop())")
        }
        folder = path
        initial = pid
        self.holder = holder
    }

    deinit { end() }

    /// Kills everything in it and removes its folder.
    func end() {
        holder.closeInput()
        _ = holder.wait(seconds: 10)
        removeLocks()
        if exists(folder) { _ = try? Command(["rm", "-rf", folder]).run() }
    }

    /// Dumps with TCP connections that were never restored have left locks of the network; only those of this folder go.
    private func removeLocks() {
        for name in names(in: folder) where text("\(folder)/\(name)/supplement.json").contains("apus-kept-") {
            _ = try? Command([Place.apus, "recover", "-D", "\(folder)/\(name)"]).run()
        }
    }

    /// A name in the folder.
    func path(_ name: String) -> String { folder + "/" + name }

    /// The /proc of the world, as seen from outside.
    var proc: String { "/proc/\(initial)/root/proc" }

    /// The pids in the world but that of its init.
    var processes: [Int32] {
        names(in: proc).compactMap { Int32($0) }.filter { $0 != 1 }.sorted()
    }

    func isAlive(_ pid: Int32) -> Bool {
        let status = text("\(proc)/\(pid)/status")
        return !status.isEmpty && !status.contains("State:\tZ") && !status.contains("State:\tX")
    }

    /// Whether a restored process has its name again and obeys nobody else.
    func isReleased(_ pid: Int32, named name: String) -> Bool {
        let status = text("\(proc)/\(pid)/status")
        return status.hasPrefix("Name:\t\(name)\n") && status.contains("TracerPid:\t0\n")
    }

    /// A command run in the world.
    func command(_ arguments: [String]) -> Command {
        Command([Place.subject("world"), "run", "\(initial)"] + arguments)
    }

    /// Runs a command in the world and requires that it succeeds.
    @discardableResult
    func succeed(_ arguments: String...) throws(Failed) -> String {
        let finished = try command(arguments).run()
        if finished.status != 0 { throw Failed("\(arguments.joined(separator: " ")): \(finished)") }
        return finished.output
    }

    /// Starts a program in a session of its own, with its output appended to `output`; its pid in the world.
    func start(_ arguments: [String], output: String, environment: [String: String] = [:]) throws(Failed) -> Int32 {
        var command = Command([Place.subject("world"), "start", "\(initial)", path(output)] + arguments)
        command.environment = environment
        let finished = try command.run()
        guard finished.status == 0, let pid = Int32(finished.output.dropLast()) else {
            throw Failed("\(arguments): \(finished)")
        }
        return pid
    }

    /// Starts a program as the foreground job of a terminal of its own, with what appears there appended to `output`.
    ///
    /// - Parameter leads: it is the leader of the session itself, as an interactive shell is.
    func job(
        _ arguments: [String], output: String, environment: [String: String] = [:], leads: Bool = false
    ) throws(Failed) -> Job {
        let verb = leads ? "leader" : "job"
        var command = Command([Place.subject("world"), verb, "\(initial)", path(output)] + arguments)
        command.environment = environment
        let job = Job(try command.start())
        guard eventually({ job.pid != nil }) else { throw Failed("\(arguments): no pid") }
        return job
    }

    /// Sends a signal; false where one of the processes does not exist.
    @discardableResult
    func signal(_ number: Int32, _ pids: Int32...) -> Bool {
        let arguments = [Place.subject("world"), "signal", "\(initial)", "\(number)"] + pids.map { "\($0)" }
        return (try? Command(arguments).run().status) == 0
    }

    /// Kills all there is and waits until it has gone.
    func killAll() {
        _ = eventually(seconds: 5) {
            let left = processes
            if left.isEmpty { return true }
            _ = try? Command(
                [Place.subject("world"), "signal", "\(initial)", "\(SIGKILL)"] + left.map { "\($0)" }
            ).run()
            return processes.isEmpty
        }
    }
}

/// The foreground job of a terminal.
struct Job {
    private let terminal: Running

    init(_ terminal: Running) { self.terminal = terminal }

    private var said: [Substring] { terminal.outputSoFar.split(separator: "\n") }

    /// Its pid in the world.
    var pid: Int32? { said.first.flatMap { Int32($0) } }

    /// How it ended, as a shell would have it; nil while it runs.
    var status: Int? {
        said.dropFirst().first.flatMap { $0.hasPrefix("exit ") ? Int($0.dropFirst(5)) : nil }
    }

    /// Types on the keyboard of the terminal.
    func type(_ bytes: [UInt8]) { terminal.type(bytes) }
}

/// A test in a world of its own.
func withWorld<Result>(_ body: (World) throws -> Result) throws -> Result {
    let world = try World()
    defer { world.end() }
    return try body(world)
}
