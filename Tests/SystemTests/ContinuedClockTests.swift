import Glibc
import Testing

/// What becomes of the clocks.
@Suite("Continued clocks", .enabled(if: geteuid() == 0, "needs root"), .serialized)
struct ContinuedClockTests {
    /// How much the two clocks have moved since the last check, in milliseconds.
    private func moved(_ running: RunningSubject) throws -> (Int, Int) {
        #expect(running.check() == [])
        let line = lines(running.world.path("uptime.out")).last { $0.hasPrefix("moved ") } ?? ""
        let numbers = line.split(separator: " ").compactMap { Int($0) }
        try #require(numbers.count == 2, "\(line)")
        return (numbers[0], numbers[1])
    }

    /// They go on where they were, and do so in what is dumped and restored again, without being asked to.
    @Test func continued() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "uptime"), in: world)
            var options = ["--continue-clocks"]
            for round in 1...3 {
                _ = try moved(running)
                try world.requireDump(running.pid, to: "images-\(round)")
                // From the second on it has a time namespace of its own, whose clocks CRIU looks for under its number.
                #expect(exists(world.path("images-\(round)/timens-105.img")) == (round > 1))
                // Far more than a dump and a restore take on a busy machine, which count.
                usleep(6_000_000)
                try world.requireRestore("images-\(round)", options)
                let (monotonic, boot) = try moved(running)
                #expect((0..<5500).contains(monotonic), "round \(round)")
                #expect((0..<5500).contains(boot), "round \(round)")
                options = []
            }
        }
    }

    /// Otherwise they are those of the host, and how much has passed is told.
    @Test func ofTheHost() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "uptime"), in: world)
            _ = try moved(running)
            try world.requireDump(running.pid, to: "images")
            usleep(2_000_000)
            try world.requireRestore("images")
            #expect(try moved(running).0 >= 2000)
            let told = lines(world.path("images/restore.log")).first { $0.contains("passed since the dump") }
            #expect(told != nil)
        }
    }

    /// The script of the user has the clocks of the host.
    @Test func notThoseOfApus() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "uptime"), in: world)
            try world.requireDump(running.pid, to: "images")
            let there = world.path("namespace")
            try world.requireRestore(
                "images", ["--continue-clocks", "--action-script", "readlink /proc/self/ns/time >> \(there)"])
            #expect(Set(lines(there)).count == 1)
            #expect(target(of: "\(world.proc)/\(running.pid)/ns/time") != lines(there).first)
        }
    }
}
