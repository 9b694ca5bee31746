import Glibc
import Testing

/// Trees that write faster than their memory can be sent, and are slowed while it is.
@Suite(
    "Throttled migrations", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3"), "needs python3"))
struct ThrottledMigrationTests {
    private static let size = 24
    /// It writes to all of its memory in the time that this takes.
    private static let options = [
        "--max-bandwidth", "12M", "--compress", "none", "--downtime-limit", "150", "--json",
    ]

    @Test func aWriterThatOutrunsTheNetwork() throws {
        let free = try lastBytes([])
        let slowed = try lastBytes(["--throttle"])
        #expect(free.last > 8 << 20 && free.slowed == 0 && free.percent == 0, "\(free)")
        #expect(slowed.slowed > 100_000_000 && (30...95).contains(slowed.percent), "\(slowed)")
        #expect(slowed.last < free.last / 2, "\(slowed) \(free)")
    }

    /// Nothing is slowed that need not be.
    @Test func aTreeThatWritesLittle() throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["20"]), in: journey.source)
            let moved = try journey.migrate(running.pid, ["--throttle", "--json"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(moved.output.contains("\"slowed_ns\":0"), "\(moved)")
            #expect(RunningSubject(running, in: journey.target).check() == [])
        }
    }

    /// Apus is killed, or the link is cut, while the tree stands still for it: it runs on, at its own speed.
    @Test func whoSlowsItDies() throws {
        try withJourney { journey in
            let pid = try startWriter(journey)
            let (options, log) = (Self.options + ["--throttle"], journey.source.path("steps"))
            let cut = try journey.migrate(
                pid, options, cut: (out: 120, back: 0), environment: ["APUS_TEST_STEP_LOG": log])
            #expect(cut.status == 1 && cut.output.contains("\"event\":\"slowed\""), "\(cut)")
            try expectFree(pid, journey, "cut")
            // Those of the rehearsal; what follows is the slowing alone, until the last part.
            let steps = try #require(Int(text(log).dropLast()))
            var killed = 0
            for step in [1, 2, 3, 24, 25] {
                let moved = try journey.migrate(
                    pid, options, environment: ["APUS_TEST_KILL_AT_STEP": "\(steps + step)"])
                #expect(moved.status == 128 + Int(SIGKILL), "\(moved)")
                if moved.output.contains("\"event\":\"slowed\"") { killed += 1 }
                try expectFree(pid, journey, "killed at step \(step)")
            }
            #expect(killed > 3, "too seldom while it was slowed: \(killed)")
        }
    }

    private func expectFree(_ pid: Int32, _ journey: Journey, _ place: String) throws {
        #expect(
            eventually {
                let status = text("\(journey.source.proc)/\(pid)/status")
                return status.contains("TracerPid:\t0") && !status.contains("State:\tt")
                    && !status.contains("State:\tT")
            }, "\(place)")
        #expect(eventually { !journey.target.processes.contains(where: journey.target.isAlive) }, "\(place)")
        try expectWhole(journey, place)
    }

    private func lastBytes(_ more: [String]) throws -> (last: Int, slowed: Int, percent: Int) {
        try withJourney { journey in
            let pid = try startWriter(journey)
            let moved = try journey.migrate(pid, Self.options + more)
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            try expectWhole(journey, "moved")
            let summary = String(try #require(moved.output.split(separator: "\n").last))
            func number(_ name: String) throws -> Int {
                let place = try #require(summary.ranges(of: "\"\(name)\":").first)
                return try #require(Int(summary[place.upperBound...].prefix { $0.isNumber }))
            }
            return (try number("last_bytes"), try number("slowed_ns"), try number("slowed_percent"))
        }
    }

    private func startWriter(_ journey: Journey) throws -> Int32 {
        let fifo = journey.source.path("status")
        try journey.source.succeed("mkfifo", fifo)
        let pid = try journey.source.start(
            ["python3", Programs.path("memory_writer.py"), "\(Self.size)", fifo], output: "out")
        let out = journey.source.path("out")
        #expect(eventually { lines(out).contains("ready") })
        return pid
    }

    private func expectWhole(_ journey: Journey, _ place: String) throws {
        let out = journey.source.path("out")
        let before = lines(out).count
        try write("?\n", to: journey.source.path("status"))
        #expect(eventually { lines(out).count > before }, "\(place)")
        #expect(lines(out).last?.hasPrefix("OK") == true, "\(place): \(lines(out))")
    }
}
