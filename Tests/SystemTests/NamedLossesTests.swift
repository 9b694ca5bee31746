import Glibc
import Testing

/// What images have no place for, and what a program can well do without, is lost with a warning that names it.
@Suite("Named losses", .enabled(if: geteuid() == 0, "needs root"))
struct NamedLossesTests {
    @Test(arguments: [
        (kind: "coredump_filter", word: "coredump_filter"), (kind: "affinity", word: "processors"),
        (kind: "timerslack", word: "slack"),
    ])
    func aWarningNamesIt(_ kind: String, word: String) throws {
        try withWorld { world in
            let subject = Subject(name: "unsupported", arguments: [kind, "FOLDER"])
            let running = try RunningSubject(subject, in: world)
            let dump = try world.dump(running.pid, to: "images", ["--leave-running"])
            #expect(dump.status == 0, "\(dump)")
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(
                warnings.contains { $0.contains(word) && $0.contains("\(running.pid)") },
                "no warning names \(word): \(warnings)")
            #expect(running.check() == [])
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
