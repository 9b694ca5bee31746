import Glibc
import Testing

/// Threads with hardly any stack left, at whose end the way out of a restore would stand.
@Suite("Stacks without room", .enabled(if: geteuid() == 0, "needs root"), .timeLimit(.minutes(2)))
struct LowStackTests {
    @Test func oneThatGrows() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "lowstack"), in: world)
            for round in 1...3 {
                try world.requireDump(running.pid, to: "images")
                try world.requireRestore("images")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// The dump finds out that the restore could not be, and the program runs on.
    @Test func oneThatDoesNot() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "lowstack", arguments: ["fixed"]), in: world)
            let before = running.snapshot
            let dump = try world.dump(running.pid, to: "images")
            #expect(dump.status == 1 && dump.errors.contains("no room for a signal frame"), "\(dump)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }
}
