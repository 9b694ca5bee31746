import Glibc
import Testing

/// A program that has the real-time clock open, as far as the host has one; `make vm-test` runs this where there is one.
@Suite(
    "Real-time clock", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: unsafe access("/dev/rtc0", R_OK) == 0, "needs a real-time clock"))
struct RealTimeClockTests {
    @Test func threeRounds() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "rtc"), in: world)
            for round in 1...3 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                #expect(running.changes(since: before) == [], "round \(round)")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    @Test(arguments: ["updates", "alarm"])
    func whatItIsToTell(_ kind: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "rtc", arguments: [kind]), in: world)
            let refused = try world.dump(running.pid, to: "images")
            #expect(refused.status == 1 && refused.errors.contains("is to tell its \(kind)"), "\(refused)")
            #expect(refused.errors.contains("/dev/rtc0") && refused.errors.contains("dev["), "\(refused)")
            #expect(running.check() == [])
        }
    }

    /// There is one for one process only.
    @Test func whereItIsTaken() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "rtc"), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            world.killAll()
            let taken = unsafe open("/dev/rtc0", O_RDONLY)
            defer { close(taken) }
            try #require(taken >= 0)
            let refused = try world.restore("images")
            #expect(refused.status == 1 && refused.errors.contains("/dev/rtc0"), "\(refused)")
            #expect(world.processes == [])
        }
    }
}
