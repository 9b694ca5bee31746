import Glibc
import Testing

/// Trees that have come to a limit of processes, and restores that do.
@Suite("Limits of processes", .serialized, .enabled(if: geteuid() == 0, "needs root"), .timeLimit(.minutes(5)))
struct ProcessLimitsTests {
    /// A user who may have no more processes goes on trying to make some, while being frozen, dumped and restored.
    @Test func aForkBombOfAUserWithALimit() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "storm", arguments: ["bomb", "6", "30"]), in: world)
            try running.survivesDumps(["--timeout", "60"])
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// The group that it fills belongs to it, and not to Apus. What comes into such a group and finds no room there leaves nothing.
    @Test(.enabled(if: PidsGroup.place != nil, "needs the pids controller of control groups"))
    func aForkBombInAFullControlGroup() throws {
        let group = try PidsGroup(limit: 40)
        try withWorld { world in
            let subject = Subject(name: "storm", arguments: ["bomb", "6", group.members])
            let running = try RunningSubject(subject, in: world)
            try running.survivesDumps(["--timeout", "60"])

            let restore = [Place.apus, "restore", "-D", world.path("images"), "-d", "-v4", "-o", "restore.log"]
            try group.allow(4)
            let refused = try world.command(group.entering(restore)).run()
            #expect(refused.status == 1 && refused.errors.contains("pids.max"), "\(refused)")
            #expect(world.processes == [])

            try group.allow(200)
            let restored = try world.command(group.entering(restore)).run()
            #expect(restored.status == 0, "\(restored)")
            try group.allow(40)
            #expect(running.check() == [])
        }
    }
}
