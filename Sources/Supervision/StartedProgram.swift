internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Linux
internal import Logging
internal import SystemPackage

/// A program that is started so that it can be carried later, by whoever dumps it (`apus run` without a store).
///
/// It gets a session of its own, none of the caller's descriptors but the first three, and, if asked for, a pid namespace
/// in which its pids are free wherever it comes back.
enum StartedProgram {
    /// Starts the program, passes signals on to it and waits for its end.
    ///
    /// - Returns: its status, or 128 and the number of the signal that ended it. A dump ends it by SIGKILL: 137.
    /// - Throws: `program-unstartable`, `store-unusable`.
    static func run(_ options: RunOptions, _ logger: Logger) throws(Problem) -> Int32 {
        Supervisor.block()
        // That of the caller, by which the program's pid there is found.
        let outer = (try? Files.open("/proc", .directory))?.release() ?? -1
        if options.ownNamespace {
            let inner = try Supervisor.enterNamespace()
            if inner != 0 { return Supervisor.watch(inner) }
        }
        let pid = try start(options)
        logger.info("the program is started, with pid \(pid)")
        if let file = options.pidFile {
            let seen = options.ownNamespace ? child(seenIn: outer) : pid
            do throws(Problem) { try note(seen, in: file) } catch {
                try? Processes.kill(pid, signal: SIGKILL)
                throw error
            }
        }
        while true {
            let signal = Supervisor.wait(1_000_000_000)
            if signal != 0 && signal != SIGCHLD { try? Processes.kill(pid, signal: signal) }
            // In a namespace of its own this is the init, to which orphans come.
            while let ended = try? Processes.wait(for: -1, [.noHang, .all]) {
                guard ended.pid == pid, let status = Supervisor.exitStatus(ended.status) else { continue }
                if options.ownNamespace { Processes.awaitOthersOfThisProgram() }
                return status
            }
        }
    }

    private static func start(_ options: RunOptions) throws(Problem) -> Int32 {
        do throws(Errno) {
            if options.ownNamespace { try Processes.setLastPid(Supervisor.firstPid - 1) }
            try Supervisor.closeOthersOnExec()
            return try Subprocess.spawn(options.command, adding: options.variables, session: true)
        } catch {
            throw .notStarted(options.command[0], error)
        }
    }

    /// The pid of the one child of this process in another pid namespace, to which a `/proc` belongs.
    private static func child(seenIn proc: Int32) -> Int32? {
        guard let file = try? Files.open("thread-self/children", .readOnly, at: proc),
            let text = try? Files.readAll(file.raw, limit: 1 << 16)
        else { return nil }
        return String(decoding: text, as: UTF8.self).split(separator: " ").first.flatMap { Int32($0) }
    }

    private static func note(_ pid: Int32?, in path: FilePath) throws(Problem) {
        do throws(Errno) {
            guard let pid else { throw .noSuchProcess }
            let file = try Files.open(path, [.writeOnly, .create, .truncate])
            try Files.write(file.raw, Array("\(pid)\n".utf8))
        } catch {
            throw Problem(
                .storeUnusable, "the pid of the program cannot be noted, and it was ended",
                object: .init(path: path.string), cause: .init(error, attempted: "open, write"),
                remedy: "Name another file with --pidfile")
        }
    }
}
