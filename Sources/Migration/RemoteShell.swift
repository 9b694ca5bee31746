public import Diagnostics
internal import Glibc
internal import Linux
internal import Synchronization
internal import SystemPackage

/// The program that reaches the other host, ssh(1) usually.
final class RemoteShell {
    let wire: Wire
    private let pid: Int32
    private var hasEnded = false

    /// Starts it.
    ///
    /// - Throws: `host-unreachable`.
    init(_ command: [String], host: String) throws(Problem) {
        // It may end before anything is said to it.
        Processes.ignoreBrokenPipes()
        do throws(Errno) {
            let program = try Subprocess.spawnPiped(command)
            pid = program.pid
            wire = Wire(input: program.output, output: program.input, peer: host)
        } catch {
            throw Problem(
                .hostUnreachable, "the program that reaches \(host) cannot be started",
                object: .init(path: command.first), cause: .init(error, attempted: "posix_spawnp"),
                remedy: "Install it, or name another with --ssh-command")
        }
    }

    deinit { end() }

    /// Ends it, and waits for it.
    func end() {
        if hasEnded { return }
        hasEnded = true
        wire.close()
        // It ends when its input is closed, unless the network keeps it. One that is stopped, or deaf, is not waited for: what it
        // said, or did not say, is known.
        for signal in [nil, SIGTERM, SIGKILL] {
            if let signal { try? Processes.kill(pid, signal: signal) }
            for _ in 0..<50 {
                if let ended = try? Processes.wait(for: pid, [.noHang, .all]), ended.pid == pid { return }
                usleep(20_000)
            }
        }
    }
}

extension Problem.Code {
    /// The other host cannot be reached.
    public static let hostUnreachable: Self = "host-unreachable"
}
