import Glibc
import Testing

/// TCP connections that a program does not accept. (What can be carried of them the subject `backlog` shows.)
@Suite("TCP connections before accept", .enabled(if: geteuid() == 0, "needs root"))
struct TCPBacklogTests {
    /// Clients at another host (Tests/Programs/tcp_backlog.py).
    @Test(
        .enabled(if: Programs.has("python3", "ip", "nsenter", "unshare"), "needs python3 and iproute2"),
        .timeLimit(.minutes(3)), arguments: ["same", "behind", "stranger", "moved"])
    func clientsElsewhere(_ name: String) throws {
        try withWorld { world in
            let finished = try Command(
                ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "python3"]
                    + [Programs.path("tcp_backlog.py"), Place.apus, world.path("backlog"), name]
            ).run(seconds: 90)
            #expect(finished.status == 0 && finished.output.hasSuffix("OK\n"), "\(finished)")
        }
    }

    /// The original notices nothing, also where the kernel lets nobody read its memory and the dump is refused; nor does a
    /// restore without the option make anything.
    @Test func refusals() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "backlog"), in: world)
            try world.succeed("mkdir", world.path("images"))
            let dump = [Place.apus, "dump", "-t", "\(running.pid)", "-D", world.path("images")]
            // In the world's own mount namespace.
            try world.succeed("mount", "-t", "tmpfs", "none", "/sys/kernel/btf")
            for (options, words) in [
                (["--tcp-established"], "5 TCP connections wait to be accepted, and cannot be read"),
                ([], "5 TCP connections wait to be accepted"),
            ] {
                let finished = try world.command(dump + options).run()
                let said = finished.errors.replacing("\n", with: " ").split(separator: " ").joined(separator: " ")
                #expect(finished.status == 1 && said.contains(words), "\(finished)")
                #expect(!exists(world.path("images/inventory.img")))
            }
            try world.succeed("umount", "/sys/kernel/btf")
            try world.requireDump(running.pid, to: "kept", ["--tcp-established"])
            let refused = try world.restore("kept")
            #expect(refused.status == 1 && "\(refused)".contains("Give --tcp-established"), "\(refused)")
            #expect(world.processes == [])
            try world.requireRestore("kept", ["--tcp-established"])
            #expect(running.check() == [])
        }
    }
}
