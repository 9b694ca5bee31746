import Glibc
import Testing

/// POSIX message queues and semaphores with names outlive their processes.
@Suite("POSIX IPC", .enabled(if: geteuid() == 0, "needs root"))
struct PosixIPCTests {
    private static let subject = Subject(name: "posixipc")

    /// sem_open(3) leaves its caller with a mapping of a name that is gone.
    @Test func aSemaphoreOfItsMaker() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "posixipc", arguments: ["maker"]), in: world)
            for round in 1...2 {
                try world.requireDump(running.pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                #expect(running.check() == [])
            }
        }
    }

    /// Somebody has the queue open: its messages stay where they are.
    @Test func whatOthersHaveOpen() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            let user = try world.start([Place.subject("lossy"), "queue", "/apus-\(running.pid)-0"], output: "user.out")
            #expect(eventually { lines(world.path("user.out")) == ["ready"] })
            try world.requireDump(running.pid, to: "images")
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.count == 1 && warnings[0].contains("process \(user) outside"), "\(warnings)")
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }
}
