import Glibc
import Testing

/// Trees whose memory follows when they run on the other host already.
@Suite(
    "Memory that follows", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3"), "needs python3"))
struct LateMigrationTests {
    /// What the program does to its memory as soon as it is there, while hardly any of it has come.
    @Test(arguments: ["check", "drop", "unmap", "move", "calls", "fork", "threads", "all"])
    func whileItFollows(_ what: String) throws {
        try withJourney { journey in
            let running = try RunningSubject(
                Subject(name: "late", arguments: ["48", what, "moved"]), in: journey.source)
            let moved = try journey.migrate(
                running.pid, ["--postcopy", "always", "--rounds", "0", "--max-bandwidth", "40M", "--json"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            let out = journey.source.path("late.out")
            #expect(eventually { lines(out).count > 1 })
            #expect(lines(out) == ["ready", "OK", "ready"])
            #expect(moved.output.contains(/"late":\{"bytes":[45][0-9]{7},.*"faults":[1-9]/), "\(moved.output)")
            // And once more when all is there and nobody watches any more.
            #expect(RunningSubject(running, in: journey.target).check() == [])
            #expect(!text("\(journey.target.proc)/\(running.pid)/smaps").contains(/VmFlags:.* um/))
            try nothingIsLeft(journey)
        }
    }

    /// Much memory, of which a round is sent ahead, or nothing.
    @Test(arguments: [0, 1])
    func largeMemory(_ rounds: Int) throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["256"]), in: journey.source)
            let before = running.snapshot
            let moved = try journey.migrate(
                running.pid, ["--postcopy", "always", "--rounds", "\(rounds)", "--json"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(moved.output.contains("\"event\":\"released\"") == (rounds == 0), "\(moved.output)")
            let there = RunningSubject(running, in: journey.target)
            #expect(there.changes(since: before) == [])
            #expect(there.check() == [])
            #expect(eventually { !journey.source.isAlive(running.pid) })
            try nothingIsLeft(journey)
        }
    }

    /// It writes all over its memory: what was sent ahead and written to since follows in its latest state.
    @Test(arguments: [0, 1, 3])
    func aWriter(_ rounds: Int) throws {
        try withJourney { journey in
            let writer = try MemoryWriter(48, in: journey.source)
            let pid = writer.pid
            let moved = try journey.migrate(
                pid, ["--postcopy", "always", "--rounds", "\(rounds)", "--max-bandwidth", "60M"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(!journey.source.isAlive(pid))
            try writer.expectWhole()
        }
    }

    /// Each process waits for its own.
    @Test(arguments: ["0", "1"])
    func severalProcesses(_ rounds: String) throws {
        try withJourney { journey in
            let fifos = ["a", "b", "c"].map { journey.source.path("status-\($0)") }
            for fifo in fifos { try journey.source.succeed("mkfifo", fifo) }
            func writer(_ number: Int, _ size: Int) -> String {
                "python3 \(Programs.path("memory_writer.py")) \(size) \(fifos[number]) >\(journey.source.path("out-\(number)"))"
            }
            let script =
                "\(writer(0, 16)) & sh -c '\(writer(1, 24)); exit 3' & \(writer(2, 8)) & echo ready; wait; exit 4"
            let pid = try journey.source.start(["sh", "-c", script], output: "out")
            let outputs = (0...2).map { journey.source.path("out-\($0)") }
            #expect(eventually { outputs.allSatisfy { lines($0).contains("ready") } })
            let moved = try journey.migrate(
                pid, ["--postcopy", "always", "--rounds", rounds, "--max-bandwidth", "60M", "--json"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(moved.output.contains(/"late":\{"bytes":[1-9]/), "\(moved.output)")
            for (fifo, output) in zip(fifos, outputs) {
                try write("?\n", to: fifo)
                #expect(eventually { lines(output).count > 1 })
                #expect(lines(output).last?.hasPrefix("OK") == true, "\(lines(output))")
            }
        }
    }

    /// What can be sent within the limit is; what cannot, because the program writes faster, follows.
    @Test(arguments: [true, false])
    func whereThePauseWouldBeTooLong(_ isTooLong: Bool) throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["40"]), in: journey.source)
            // No program is looked at within a millisecond, which counts.
            let moved = try journey.migrate(
                running.pid,
                ["--postcopy", "auto", "--json", "--downtime-limit", isTooLong ? "1" : "5000"]
                    + (isTooLong ? ["--rounds", "0"] : []))
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(moved.output.contains("\"late\":null") == !isTooLong, "\(moved.output)")
            #expect(RunningSubject(running, in: journey.target).check() == [])
        }
    }

    // MARK: Failures

    /// A migration under way whose tree runs there, sleeps, and has little of its memory.
    private func withHalfATree(_ body: (Journey, RunningSubject, Running) throws -> Void) throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "late", arguments: ["48", "all"]), in: journey.source)
            let migration = try journey.migration(
                running.pid, ["--postcopy", "always", "--rounds", "0", "--max-bandwidth", "8M"],
                environment: ["APUS_TEST_SETTLING_TIME": "2"])
            try #require(
                eventually { text(journey.source.path("migrate.log")).contains("bytes of its memory follow") },
                "\(migration.stop())\n\(journey.logThere)")
            try body(journey, running, migration)
        }
    }

    /// A process of Apus there.
    private func apus(_ argument: String, _ journey: Journey) throws -> Int32 {
        try #require(journey.target.processes.first { journey.isApus(argument, $0) }, "\(argument)")
    }

    /// Who brings the pages dies: the tree goes no further, above all not with zeros, and the original can be continued.
    @Test func whoServesIsKilled() throws {
        try withHalfATree { journey, running, migration in
            #expect(journey.runs(running.pid).there)
            let (keeper, serving) = (try apus("--keeper", journey), try apus("--stdio", journey))
            // It has no time for the keeper to be quick: what has not come is waited for as long as that only holds on.
            journey.target.signal(SIGSTOP, keeper)
            journey.target.signal(SIGKILL, serving)
            #expect(eventually { !journey.target.isAlive(serving) })
            journey.target.signal(SIGUSR1, running.pid)
            usleep(500_000)
            #expect(journey.target.isAlive(running.pid))
            #expect(lines(journey.source.path("late.out")) == ["ready"], "it computed with what had not come")
            journey.target.signal(SIGCONT, keeper)
            let moved = migration.wait(seconds: 30)
            #expect(moved.status == 1 && moved.errors.contains("migration-incomplete"), "\(moved)")
            #expect(eventually { !journey.target.isAlive(running.pid) }, "it is left there")
            #expect(journey.runs(running.pid) == (false, false) && journey.source.isAlive(running.pid))
            #expect(lines(journey.source.path("late.out")) == ["ready"], "it computed with what had not come")
            try goesBack(journey, running)
        }
    }

    /// Ctrl-C at the source comes too late, and says so.
    @Test func theUserWantsAnEnd() throws {
        try withHalfATree { journey, running, migration in
            let source = try #require(
                journey.source.processes.first { journey.isApus("migrate", $0, in: journey.source) })
            #expect(journey.source.signal(SIGINT, source))
            #expect(
                eventually { text(journey.source.path("migrate.log")).contains("the end is waited for") },
                "\(text(journey.source.path("migrate.log")))")
            let moved = migration.wait(seconds: 60)
            #expect(moved.status == 0, "\(moved)")
            #expect(RunningSubject(running, in: journey.target).check() == [])
        }
    }

    /// The keeper dies: another one takes its place, and does what it is for.
    @Test func theKeeperIsKilled() throws {
        try withHalfATree { journey, running, migration in
            let (keeper, serving) = (try apus("--keeper", journey), try apus("--stdio", journey))
            journey.target.signal(SIGKILL, keeper)
            #expect(
                eventually { journey.target.processes.contains { $0 != keeper && journey.isApus("--keeper", $0) } })
            usleep(300_000)
            journey.target.signal(SIGKILL, serving)
            journey.target.signal(SIGUSR1, running.pid)
            #expect(migration.wait(seconds: 30).errors.contains("migration-incomplete"))
            #expect(eventually { !journey.target.isAlive(running.pid) }, "it is left there")
            #expect(lines(journey.source.path("late.out")) == ["ready"])
            try goesBack(journey, running)
        }
    }

    /// Both die, and the tree with zeros in its memory is ended by whoever asks about it: it never runs twice.
    @Test func bothAreKilled() throws {
        try withHalfATree { journey, running, migration in
            let (keeper, serving) = (try apus("--keeper", journey), try apus("--stdio", journey))
            journey.target.signal(SIGSTOP, serving, keeper)
            journey.target.signal(SIGKILL, serving, keeper)
            #expect(migration.wait(seconds: 30).errors.contains("migration-incomplete"))
            #expect(eventually { !journey.target.isAlive(running.pid) }, "it is left there")
            try goesBack(journey, running)
        }
    }

    /// The link breaks while pages follow, and is there again: they go on following.
    @Test func theLinkIsCut() throws {
        try withHalfATree { journey, running, migration in
            try cut(journey)
            let moved = migration.wait(seconds: 60)
            #expect(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(text(journey.source.path("migrate.log")).contains("can be reached again"))
            #expect(eventually { !journey.source.isAlive(running.pid) })
            #expect(RunningSubject(running, in: journey.target).check() == [])
            try nothingIsLeft(journey)
        }
    }

    /// The link stays away: the tree there waits for its pages, the original stands still, until `apus recover` sends them, or
    /// takes it back.
    @Test(arguments: [false, true])
    func theLinkStaysAway(_ isToComeBack: Bool) throws {
        try withHalfATree { journey, running, migration in
            try write("", to: journey.outage)
            try cut(journey)
            let moved = migration.wait(seconds: 60)
            #expect(moved.status == 1 && moved.errors.contains("migration-incomplete"), "\(moved)")
            #expect(eventually { !journey.runs(running.pid).here } && journey.source.isAlive(running.pid))
            #expect(journey.target.isAlive(running.pid))
            // What it needs now it waits for.
            journey.target.signal(SIGUSR1, running.pid)
            #expect(try journey.recover().status == 1)
            #expect(lines(journey.source.path("late.out")) == ["ready"])
            // Nor may anything else be made of the original meanwhile: there would be two.
            let again = try journey.migrate(running.pid, ["-o", journey.source.path("again.log")])
            #expect(again.status == 1 && again.errors.contains("migration-unsettled"), "\(again)")
            #expect(!again.errors.contains("run on as before"), "\(again)")
            _ = unsafe unlink(journey.outage)
            if isToComeBack { return try goesBack(journey, running) }
            let recovered = try journey.recover()
            #expect(recovered.status == 0, "\(recovered)\n\(journey.logThere)")
            #expect(eventually { !journey.source.isAlive(running.pid) })
            #expect(eventually { lines(journey.source.path("late.out")) == ["ready", "OK"] })
            #expect(RunningSubject(running, in: journey.target).check() == [])
            try nothingIsLeft(journey)
        }
    }

    /// Apus dies on the host that the tree has left: the original stays stopped, and `apus recover` sends the rest.
    @Test func theSourceIsKilled() throws {
        try withHalfATree { journey, running, migration in
            let sending = try #require(
                journey.source.processes.first { journey.isApus("migrate", $0, in: journey.source) })
            journey.source.signal(SIGKILL, sending)
            _ = migration.wait(seconds: 10)
            #expect(eventually { !journey.runs(running.pid).here } && journey.source.isAlive(running.pid))
            #expect(journey.target.isAlive(running.pid))
            let recovered = try journey.recover()
            #expect(recovered.status == 0, "\(recovered)\n\(journey.logThere)")
            #expect(eventually { !journey.source.isAlive(running.pid) })
            #expect(RunningSubject(running, in: journey.target).check() == [])
            try nothingIsLeft(journey)
        }
    }

    /// Killed there, by whomever, it has not ended: the original is all that there is.
    @Test(arguments: [SIGKILL, SIGSEGV])
    func theTreeIsKilledThere(_ signal: Int32) throws {
        try withHalfATree { journey, running, migration in
            journey.target.signal(signal, running.pid)
            let moved = migration.wait(seconds: 60)
            #expect(moved.status == 1 && moved.errors.contains("migration-incomplete"), "\(moved)\n\(journey.logThere)")
            #expect(eventually { !journey.target.isAlive(running.pid) })
            #expect(eventually { !journey.runs(running.pid).here } && journey.source.isAlive(running.pid))
            try goesBack(journey, running)
        }
    }

    /// One that ends by itself has ended, whatever of its memory has come.
    @Test func theTreeEndsThere() throws {
        try withJourney { journey in
            let code = """
                import os, signal
                ballast = b'x' * (48 << 20)
                signal.signal(signal.SIGUSR1, lambda *_: os._exit(3))
                print('ready', flush=True)
                while True: signal.pause()
                """
            let pid = try journey.source.start(["python3", "-c", code], output: "out")
            try #require(eventually { lines(journey.source.path("out")) == ["ready"] })
            let migration = try journey.migration(
                pid, ["--postcopy", "always", "--rounds", "0", "--max-bandwidth", "4M"])
            try #require(
                eventually { text(journey.source.path("migrate.log")).contains("bytes of its memory follow") })
            journey.target.signal(SIGUSR1, pid)
            let moved = migration.wait(seconds: 60)
            #expect(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(eventually { !journey.source.isAlive(pid) && !journey.target.isAlive(pid) })
            #expect(names(in: journey.state + "/departures").filter { $0.hasSuffix(".json") } == [])
            try nothingIsLeft(journey)
        }
    }

    /// What joins the two hosts dies.
    private func cut(_ journey: Journey) throws {
        let link = try #require(
            journey.source.processes.first {
                text("\(journey.source.proc)/\($0)/cmdline").contains("link.py\0connect\0")
            })
        journey.source.signal(SIGKILL, link)
    }

    /// The original is continued, as it was when it left, and nothing is left there.
    private func goesBack(_ journey: Journey, _ running: RunningSubject) throws {
        let name = try #require(names(in: journey.state + "/departures").first { $0.hasSuffix(".json") })
        let uuid = String(name.dropLast(5))
        if !journey.target.isAlive(running.pid) {
            let asked = try journey.recover()
            #expect(asked.status == 1 && asked.output.contains("--go-back \(uuid)"), "\(asked)")
        }
        #expect(try journey.recover(["--go-back", "no-such-thing"]).errors.contains("no-such-migration"))
        let back = try journey.recover(["--go-back", uuid])
        #expect(back.status == 0, "\(back)\n\(journey.logThere)")
        #expect(eventually { journey.runs(running.pid) == (true, false) }, "\(journey.runs(running.pid))")
        #expect(eventually { !journey.target.isAlive(running.pid) })
        #expect(running.check() == [])
        #expect(names(in: journey.state + "/departures").filter { $0.hasSuffix(".json") } == [])
        try nothingIsLeft(journey)
    }

    /// Without CAP_SYS_PTRACE there nobody may watch what a program does to its memory: that is said before anything is sent, or all goes
    /// ahead.
    @Test func noRightToWatchThere() throws {
        try withJourney { journey in
            let weakened = "setpriv --bounding-set=-sys_ptrace"
            let script = journey.source.path("weakened")
            try write("#!/bin/sh\nexec \(weakened) \(Place.apus) \"$@\"\n", to: script)
            try journey.source.succeed("chmod", "755", script)
            let writer = try MemoryWriter(
                16, in: journey.source, by: weakened.split(separator: " ").map(String.init))
            let pid = writer.pid
            let refused = try journey.migrate(pid, ["--postcopy", "always", "--remote-apus", script])
            #expect(
                refused.status == 1 && refused.errors.contains("post-copy-unavailable")
                    && refused.errors.contains("CAP_SYS_PTRACE"), "\(refused)")
            #expect(journey.runs(pid) == (true, false))
            let moved = try journey.migrate(pid, ["--postcopy", "auto", "--remote-apus", script])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(text(journey.source.path("migrate.log")).contains("pages cannot follow"))
            try writer.expectWhole(times: 1)
        }
    }

    private func nothingIsLeft(_ journey: Journey) throws {
        #expect(
            eventually { !journey.target.processes.contains { journey.isApus("receive", $0) } }, "Apus is left there")
        let uuid = try #require(text(journey.source.path("migrate.log")).firstMatch(of: /migration ([0-9a-f-]{36})/)).1
        let left = { names(in: "/var/lib/apus/arrivals").filter { $0.hasPrefix(uuid) && !$0.hasSuffix(".lock") } }
        #expect(eventually { left() == ["\(uuid).json"] }, "\(left())")
    }
}
