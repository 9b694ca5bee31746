import Glibc
import Testing

/// An Apus that has less than the processes had says what it lacks before it makes anything.
@Suite("Missing rights", .enabled(if: geteuid() == 0, "needs root"))
struct MissingRightsTests {
    @Test func aHardLimitAboveItsOwn() throws {
        try expect(
            ["setpriv", "--bounding-set=-sys_resource", "prlimit", "--core=1000:1000"], restoring: "attributes",
            ["FOLDER/directory", "an argument that it changes"],
            names: ["rights-missing", "core size 1048576 (Apus: 1000)"])
    }

    @Test func aCapabilityThatItHasNot() throws {
        try expect(
            ["setpriv", "--bounding-set=-net_raw"], restoring: "counter", [],
            names: ["rights-missing", "CAP_NET_RAW"])
    }

    /// Limits that follow from the memory of the host are lowered to what there is, and a warning says so.
    @Test func limitsOfASmallerHost() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try world.requireDump(running.pid, to: "images")
            try #require(eventually(seconds: 2) { world.processes.isEmpty })
            let weakening = [
                "setpriv", "--bounding-set=-sys_resource", "prlimit", "--nproc=1000:1000", "--sigpending=900",
            ]
            let finished = try world.command(
                weakening + [Place.apus, "restore", "-D", world.path("images"), "-d", "-o", "restore.log", "-v4"]
            ).run()
            #expect(finished.status == 0, "\(finished)")
            let log = text(world.path("images/restore.log"))
            #expect(log.contains("the limit of processes 1000 and not"), "\(log)")
            #expect(log.contains("the limit of pending signals 900 and not"), "\(log)")
            let limits = text("\(world.proc)/\(running.pid)/limits").split(separator: "\n").map {
                $0.split(separator: " ")
            }
            #expect(limits.contains { $0.starts(with: ["Max", "processes", "1000", "1000"]) }, "\(limits)")
            #expect(limits.contains { $0.starts(with: ["Max", "pending", "signals", "900", "900"]) }, "\(limits)")
            #expect(running.check() == [])
        }
    }

    private func expect(
        _ weakening: [String], restoring name: String, _ arguments: [String], names: [String]
    ) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: name, arguments: arguments), in: world)
            try world.requireDump(running.pid, to: "images")
            try #require(eventually(seconds: 2) { world.processes.isEmpty })
            let finished = try world.command(
                weakening + [Place.apus, "restore", "-D", world.path("images"), "-d", "-o", "restore.log"]
            ).run()
            #expect(finished.status == 1, "\(finished)")
            for name in names { #expect(finished.errors.contains(name), "\(name) is not named: \(finished)") }
            #expect(world.processes == [])
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }
}
