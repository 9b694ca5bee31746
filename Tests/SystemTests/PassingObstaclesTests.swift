import Glibc
import Testing

/// What stands in the way of a dump for a moment, and what it does without.
@Suite("Obstacles that pass", .enabled(if: geteuid() == 0, "needs root"))
struct PassingObstaclesTests {
    /// A tree that is caught in such a moment is let go and stopped again.
    @Test(.timeLimit(.minutes(2)))
    func dataOnAConnectionThatIsAcceptedLater() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "early", arguments: ["8"]), in: world)
            var retried = false
            for round in 1...40 where !retried {
                try world.requireDump(running.pid, to: "images-\(round)", ["--leave-running"])
                retried = text(world.path("images-\(round)/dump.log")).contains(
                    "so that what was under way could arrive")
                #expect(running.check() == [], "round \(round)")
            }
            #expect(retried, "never caught in such a moment")
            try world.requireDump(running.pid, to: "images")
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// Where the kernel refuses a twin, the memory is copied while the tree stands still.
    @Test func aProcessThatMayHaveNoTwin() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["40", "alone"]), in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let log = text(world.path("images/dump.log"))
            #expect(log.contains("cannot be copied (a limit of memory or of processes)"), "\(log)")
            #expect(!log.contains("pages of the twins"))
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
            #expect(world.processes == [running.pid])
            world.killAll()
            try world.requireRestore("images")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }
}
