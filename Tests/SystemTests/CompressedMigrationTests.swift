import Glibc
import Testing

/// What is sent of a tree is compressed on its way, and comes out as it was.
@Suite(
    "Compressed migrations", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3"), "needs python3"))
struct CompressedMigrationTests {
    private static let ways = ["none", "lz4", "zstd", "zstd:19", "auto"]

    /// Memory of all kinds, which checks itself.
    @Test(arguments: ways)
    func memoryOfAllKinds(_ way: String) throws {
        try withJourney { journey in
            let subject = Subject(name: "memory", arguments: ["FOLDER/mapped"])
            let running = try RunningSubject(subject, in: journey.source)
            let before = running.snapshot
            let moved = try journey.migrate(running.pid, subject.options + ["--compress", way])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            let there = RunningSubject(running, in: journey.target)
            #expect(there.changes(since: before) == [])
            #expect(there.check() == [])
        }
    }

    /// Pages that become zeros and something again while they are sent.
    @Test(arguments: ways)
    func pagesThatComeAndGo(_ way: String) throws {
        try withJourney { journey in
            let pid = try startZeroWriter(journey, 24)
            let moved = try journey.migrate(pid, ["--compress", way, "--json", "--max-bandwidth", "16M"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            try expectWhole(journey)
            let summary = try #require(moved.output.split(separator: "\n").last).description
            let memory = try #require(number("memory_bytes", of: summary))
            let zeros = try #require(number("zero_bytes", of: summary))
            let sent = try #require(number("sent_bytes", of: summary))
            #expect(memory >= 24 << 20 && zeros > memory / 4, "\(summary)")
            #expect(sent < memory - zeros + 8 << 20, "\(summary)")
            if way == "none" {
                #expect(summary.contains("\"name\":\"none\"") && !summary.contains("\"name\":\"lz4\""), "\(summary)")
            } else if way != "auto" {
                let name = way == "zstd" ? "zstd:3" : way
                #expect(summary.contains("\"name\":\"\(name)\""), "\(summary)")
                // Half of what is not zeros is words.
                #expect(sent < (memory - zeros) * 3 / 4 + 4 << 20, "\(summary)")
            }
        }
    }

    /// On a slow link something is found that helps; people are told what.
    @Test func aSlowLinkIsNoticed() throws {
        try withJourney { journey in
            let pid = try startZeroWriter(journey, 32)
            let report = journey.source.path("report.html")
            let moved = try journey.migrate(
                pid, ["--rounds", "2", "--timeout", "100", "--report", report], environment: ["LINK_RATE": "6000000"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            try expectWhole(journey)
            #expect(moved.output.contains(/compressed +[0-9.]+ [KMG]iB by (lz4|zstd:[0-9]+) to [0-9]+ %/), "\(moved)")
            #expect(moved.output.contains("were zeros"), "\(moved)")
            #expect(text(report).contains(#/<dt>Compressed</dt><dd>[0-9.]+ [KMG]iB by /#))
        }
    }

    /// Files that are taken along are compressed with the rest.
    @Test func filesThatAreTakenAlong() throws {
        try withJourney { journey in
            for (world, name) in [(journey.source, "counter"), (journey.target, "pipes")] {
                try world.succeed("mount", "-t", "tmpfs", "none", "/mnt")
                try world.succeed("cp", Place.subject(name), "/mnt/program")
            }
            let pid = try journey.source.start(["/mnt/program"], output: "out")
            #expect(eventually { lines(journey.source.path("out")).contains("ready") })
            let moved = try journey.migrate(pid, ["--compress", "zstd:9"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(journey.runs(pid) == (false, true))
        }
    }

    @Test(arguments: ["zip", "zstd:0", "zstd:20", "auto:3", ""])
    func noSuchWay(_ way: String) throws {
        try withWorld { world in
            let refused = try world.apus(["migrate", "2", "there", "--ssh-command", "false", "--compress", way])
            #expect(refused.status == 1 && refused.errors.contains("--compress"), "\(refused)")
        }
    }

    /// A number in what is printed for programs.
    private func number(_ name: String, of summary: String) -> Int? {
        summary.ranges(of: "\"\(name)\":").first.flatMap { Int(summary[$0.upperBound...].prefix { $0.isNumber }) }
    }

    private func startZeroWriter(_ journey: Journey, _ size: Int) throws -> Int32 {
        let fifo = journey.source.path("status")
        try journey.source.succeed("mkfifo", fifo)
        let pid = try journey.source.start(
            ["python3", Programs.path("zero_writer.py"), "\(size)", fifo], output: "out")
        let out = journey.source.path("out")
        #expect(eventually { lines(out).contains("ready") })
        return pid
    }

    private func expectWhole(_ journey: Journey) throws {
        let out = journey.source.path("out")
        for count in 1...2 {
            try write("?\n", to: journey.source.path("status"))
            #expect(eventually { lines(out).count > count })
            #expect(lines(out).last?.hasPrefix("OK") == true, "\(lines(out))")
        }
    }
}
