import Glibc
import Testing

/// What images have no place for, and what a program can well do without, is lost with a warning that names it.
@Suite("Named losses", .enabled(if: geteuid() == 0, "needs root"))
struct NamedLossesTests {
    /// The images come from a host with more processors than this one has.
    @Test func aHostWithoutTheProcessors() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "settings"), in: world)
            try world.requireDump(running.pid, to: "images")
            let supplement = world.path("images/supplement.json")
            let told = text(supplement)
            #expect(told.contains(#""processors":"0""#), "\(told)")
            try write(told.replacing(#""processors":"0""#, with: #""processors":"4000-4001""#), to: supplement)
            // It knows the size that the file had.
            _ = unsafe unlink(world.path("images/manifest.json"))
            try world.requireRestore("images")
            let warnings = lines(world.path("images/restore.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains("4000-4001") }, "no warning names the processors: \(warnings)")
            #expect(running.check() == ["FAIL thread: not on processor 0 alone"])
        }
    }

    /// What the parent of a process that has ended would be told of its time, and the overruns of timers.
    @Test(arguments: [
        ("spent", "processor time"), ("overruns", "overruns of its POSIX timer 0"), ("unread", "waits unread"),
    ])
    func whatCannotBeMade(_ kind: String, _ said: String) throws {
        try withWorld { world in
            let pid = try world.start([Place.subject("lossy"), kind], output: "lossy.out")
            #expect(eventually { lines(world.path("lossy.out")) == ["ready"] })
            try world.requireDump(pid, to: "images", ["--leave-running"])
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains(said) }, "not named: \(warnings)")
        }
    }

    /// A process that has nothing of the kind is dumped without a warning.
    @Test func noWarningWithoutReason() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") } == [])
        }
    }
}
