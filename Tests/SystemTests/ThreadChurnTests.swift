import Glibc
import Testing

/// Threads that start and end all the while their process is frozen, dumped and brought back.
@Suite("Threads that come and go", .serialized, .enabled(if: geteuid() == 0, "needs root"))
struct ThreadChurnTests {
    @Test func theOriginalRunsOn() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "churn"), in: world)
            for round in 1...10 {
                try world.requireDump(running.pid, to: "images", ["--leave-running", "--timeout", "60"])
                #expect(running.check() == [], "round \(round)")
                world.removeImages()
            }
        }
    }

    @Test func theCopyRunsOn() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "churn"), in: world)
            for round in 1...5 {
                try world.requireDump(running.pid, to: "images-\(round)", ["--timeout", "60"])
                try world.requireRestore("images-\(round)")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }
}
