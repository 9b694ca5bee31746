import Glibc
import Testing

/// Programs that are the other side of a tunnel device (tun, tap).
@Suite(
    "Tunnels", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: exists("/dev/net/tun"), "needs tun"))
struct TunnelTests {
    private static let device = "aputest\(getpid() % 100_000)"

    /// The devices are of the host, and have to go however a test ends.
    private func withTunnel(_ arguments: [String], _ body: (World, RunningSubject) throws -> Void) throws {
        defer { _ = try? Command([Place.subject("tunnel"), Self.device, "end"]).run() }
        try withWorld { world in
            try body(
                world, try RunningSubject(Subject(name: "tunnel", arguments: [Self.device] + arguments), in: world))
        }
    }

    @Test(arguments: ["tun", "tap"])
    func aDeviceThatStays(_ mode: String) throws {
        try withTunnel([mode, "kept"]) { world, running in
            for round in 1...3 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                // The kernel counts what was read as a position, which nobody can set or ask for.
                let changes = running.changes(since: before) { $0.contains("/dev/net/tun") && $0.contains("pos:") }
                #expect(changes == [], "round \(round)")
                #expect(running.check() == [], "round \(round)")
            }
            try world.requireDump(running.pid, to: "images")
            _ = try Command([Place.subject("tunnel"), Self.device, "end"]).run()
            let missing = try world.restore("images")
            #expect(missing.status == 1 && missing.errors.contains("no tunnel device \(Self.device)"), "\(missing)")
            #expect(world.processes == [])
        }
    }

    @Test(arguments: ["tun", "tap", "many"])
    func aDeviceThatEndsWithItsProgram(_ mode: String) throws {
        try withTunnel([mode]) { world, running in
            for round in 1...3 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)")
                #expect(!exists("/sys/class/net/\(Self.device)"), "round \(round)")
                try world.requireRestore("images-\(round)")
                let changes = running.changes(since: before) { $0.contains("/dev/net/tun") && $0.contains("pos:") }
                #expect(changes == [], "round \(round)")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// The device is there as long as the original is.
    @Test func aDeviceThatIsInUse() throws {
        try withTunnel(["tun"]) { world, running in
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
            let restore = try world.restore("images", ["--pid-policy", "new-namespace"])
            #expect(restore.status == 1 && restore.errors.contains("Another program has it"), "\(restore)")
            #expect(running.check() == [])
        }
    }

    /// What the images cannot bring back is told at the dump.
    @Test func settingsThatAreLost() throws {
        try withTunnel(["tun"]) { world, running in
            try write("1", to: "/proc/sys/net/ipv4/conf/\(Self.device)/accept_local")
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains("net.ipv4.conf.\(Self.device).accept_local") }, "\(warnings)")
        }
    }
}
