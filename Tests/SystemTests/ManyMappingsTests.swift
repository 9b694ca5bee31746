import Glibc
import Testing

/// Address spaces of very many mappings: batches and images grow with them, and nothing may have a fixed size.
@Suite("Many mappings", .enabled(if: geteuid() == 0, "needs root"), .timeLimit(.minutes(5)))
struct ManyMappingsTests {
    /// Half of what a kernel allows by default; `make bench` does 100,000.
    @Test func comeBack() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "patchwork", arguments: ["30000"]), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running", "--timeout", "0"])
            #expect(running.check() == [], "the original")
            try world.requireDump(running.pid, to: "images", ["--timeout", "0"])
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }
}
