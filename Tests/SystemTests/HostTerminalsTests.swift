import Glibc
import Testing

/// The console, a virtual console and a serial line that a program has open, as far as the host has them.
@Suite(
    "Terminals of the host", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: hasConsole, "needs a virtual console"))
struct HostTerminalsTests {
    private static let terminal = "/dev/tty61"

    private func setting(_ word: String) throws -> Bool {
        let all = try Command(["stty", "-F", Self.terminal, "-a"]).run().output
        return all.split { " \n;".contains($0) }.contains { $0 == word }
    }

    /// The settings of the program come back, whatever they have become meanwhile.
    @Test func threeRounds() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "consoles"), in: world)
            for round in 1...3 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)")
                _ = try Command(["stty", "-F", Self.terminal, "sane"]).run()
                try #require(try setting("echo"))
                try world.requireRestore("images-\(round)")
                #expect(running.changes(since: before) == [], "round \(round)")
                #expect(running.check() == [], "round \(round)")
            }
            #expect(lines(world.path("images-1/dump.log")).filter { $0.lowercased().contains("warn") } == [])
        }
    }

    /// A restore that fails leaves the terminals as they were.
    @Test func aRestoreThatFails() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "consoles"), in: world)
            try world.requireDump(running.pid, to: "images")
            _ = try Command(["stty", "-F", Self.terminal, "sane"]).run()
            let script = "test \"$CRTOOLS_SCRIPT_ACTION\" != post-restore"
            let failed = try world.restore("images", ["--action-script", script])
            #expect(failed.status == 1 && failed.errors.contains("post-restore"), "\(failed)")
            #expect(world.processes == [])
            #expect(try setting("echo"))
        }
    }
}

/// Opened by this test without becoming its terminal.
private let hasConsole: Bool = {
    let opened = unsafe open("/dev/tty61", O_RDWR | O_NOCTTY | O_NONBLOCK)
    defer { if opened >= 0 { close(opened) } }
    return opened >= 0 && isatty(opened) == 1
}()
