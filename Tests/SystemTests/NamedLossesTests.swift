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

    /// Keys are secrets of the kernel: a program that has some is told of, and has those of Apus after the restore.
    @Test func keyrings() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "keyrings"), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains("process and thread keyring") }, "\(warnings)")
            #expect(warnings.contains { $0.contains("session keyring subject (1 key)") }, "\(warnings)")
            #expect(warnings.count == 2, "\(warnings)")
            #expect(running.check() == [])
        }
    }

    /// To be asked for its session keyring gives a process none.
    @Test func askingForKeyringsMakesNone() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "keyrings", arguments: ["none"]), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
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
