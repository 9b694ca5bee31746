import Glibc
import Testing

/// Trees that move from one world to another.
@Suite(
    "Migration", .enabled(if: geteuid() == 0, "needs root"), .enabled(if: Programs.has("python3"), "needs python3"))
struct MigrationTests {
    /// Kinds of state that the images of a dump carry are tested with dumps; these are about memory, processes, and what
    /// passes by the images.
    static let subjects = Subject.ofThoseChosen([
        Subject(name: "counter"), Subject(name: "memory", arguments: ["FOLDER/mapped"]), Subject(name: "threads"),
        Subject(name: "ballast", arguments: ["40"]), Subject(name: "family-memory", arguments: ["2", "6"]),
        Subject(name: "sharedvm"), Subject(name: "tree"), Subject(name: "pipes"),
        Subject(name: "sysv", renewsChildren: true),
        Subject(name: "mappings", arguments: ["FOLDER/mapped"]), Subject(name: "stops"), Subject(name: "aio"),
        Subject(name: "uring"), Subject(name: "registers"), Subject(name: "seccomp"),
    ])

    @Test(arguments: subjects)
    func moves(_ subject: Subject) throws {
        try withJourney { journey in
            let running = try RunningSubject(subject, in: journey.source)
            let before = running.snapshot
            let moved = try journey.migrate(running.pid, subject.options)
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(!before.tasks.contains(where: journey.source.isAlive), "some are left")
            let there = RunningSubject(running, in: journey.target)
            #expect(there.changes(since: before) == [])
            #expect(there.check() == [])
            let uuid = try #require(
                text(journey.source.path("migrate.log")).firstMatch(of: /migration ([0-9a-f-]{36})/)
            ).1
            #expect(
                eventually {
                    ![journey.source, journey.target].contains { world in
                        names(in: "/proc/\(world.initial)/root/dev/shm").contains { $0.hasSuffix(uuid) }
                    }
                }, "something is left in /dev/shm")
            #expect(names(in: journey.state + "/departures") == [])
        }
    }

    /// Its memory is sent while it writes all over it: nothing that is written may be lost. And back again.
    @Test(arguments: [0, 1, 30])
    func aWriter(_ rounds: Int) throws {
        try withJourney { journey in
            let writer = try MemoryWriter(48, in: journey.source)
            let pid = writer.pid
            let moved = try journey.migrate(pid, ["--rounds", "\(rounds)"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(!journey.source.isAlive(pid))
            try writer.expectWhole()
            let seen = text(journey.source.path("migrate.log"))
            #expect(seen.contains("round 1:") == (rounds > 0), "\(seen)")
        }
    }

    /// Its mappings change after the rehearsal, and with them what pages that were sent are good for; also where they lie
    /// in the way of what Apus has made there already.
    @Test(arguments: [[], ["low"]])
    func aProgramThatChangesItsMappings(_ arguments: [String]) throws {
        try withJourney { journey in
            let subject = Subject(name: "shifting", arguments: arguments)
            let running = try RunningSubject(subject, in: journey.source)
            let moved = try journey.migrate(running.pid, subject.options + (try journey.talkative))
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            let there = RunningSubject(running, in: journey.target)
            #expect(there.check() == [])
            #expect(journey.logThere.contains("The root is there, and is filled"), "\(journey.logThere)")
            #expect(
                journey.logThere.contains("does not suit") == !arguments.isEmpty, "\(arguments): \(journey.logThere)")
        }
    }

    /// It grows until the tree stands still, which is no difference between the hosts.
    @Test func aLogThatBothHostsHave() throws {
        try withJourney { journey in
            let log = journey.source.path("log")
            let script = "exec >>\(log); n=0; while sleep 0.002; do n=$((n + 1)); echo $n; done"
            let pid = try journey.source.start(["bash", "-c", script], output: "out")
            #expect(eventually { lines(log).count > 2 })
            let moved = try journey.migrate(pid)
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            let said = "\(moved)" + text(journey.source.path("migrate.log")) + journey.logThere
            #expect(!said.contains("has grown"), "\(said)")
            let count = lines(log).count
            #expect(eventually { lines(log).count > count + 2 })
            #expect(lines(log) == (1...lines(log).count).map(String.init))
        }
    }

    /// The memory of descendants is in the root before they are, and each comes to its own: children, and a grandchild.
    @Test func aFamilyOfWriters() throws {
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
            let report = journey.source.path("report.html")
            let moved = try journey.migrate(pid, try journey.talkative + ["--report", report])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            let page = text(report)
            #expect(page.hasPrefix("<!DOCTYPE html>") && page.hasSuffix("</html>\n"))
            #expect(page.contains("process \(pid) (sh)") && page.contains("round 1") && page.contains("private memory"))
            #expect(!page.contains("http://") && !page.contains("https://"), "it needs something beside it")
            for round in 1...2 {
                for (fifo, output) in zip(fifos, outputs) {
                    try write("?\n", to: fifo)
                    #expect(eventually { lines(output).count > round })
                    #expect(lines(output).last?.hasPrefix("OK") == true, "\(lines(output))")
                }
            }
            let there = journey.logThere.firstMatch(of: /has ([0-9]+) MiB of the memory/)
            #expect(there.flatMap { Int($0.1) } ?? 0 >= 45, "\(journey.logThere)")
        }
    }

    /// Programs are told how far it has come, and when it will be over.
    @Test func eventsForPrograms() throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["40"]), in: journey.source)
            let moved = try journey.migrate(running.pid, ["--json", "--max-bandwidth", "20M", "--compress", "none"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            let events = moved.output.split(separator: "\n").filter { $0.contains("\"event\":\"sending\"") }
            #expect(events.contains { $0.contains("\"eta_ns\":null") }, "\(moved.output)")
            #expect(
                events.contains { $0.contains(/"of_bytes":[1-9][0-9]{7},.*"eta_ns":[1-9]/) }, "\(moved.output)")
            #expect(moved.output.contains(/"event":"round","number":1,.*"eta_ns":[1-9]/), "\(moved.output)")
        }
    }

    /// The original stays, stopped.
    @Test func keepsTheOriginal() throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "counter"), in: journey.source)
            // What cannot be written is told before anything is done.
            let refused = try journey.migrate(running.pid, ["--report", "/no/such/folder/report.html"])
            #expect(refused.status == 1 && refused.errors.contains("report-unwritable"), "\(refused)")
            let moved = try journey.migrate(running.pid, ["--keep-original"])
            try #require(moved.status == 0, "\(moved)")
            #expect(moved.output.contains("process \(running.pid) is still here, stopped"), "\(moved)")
            #expect(journey.runs(running.pid) == (false, true))
            #expect(journey.source.isAlive(running.pid))
        }
    }

    /// What stands in the way there is told before the tree stands still for long, and changes nothing.
    @Test func whatTheOtherHostRefuses() throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "counter"), in: journey.source)
            // The pid is taken there.
            try journey.target.succeed("sh", "-c", "echo \(running.pid - 2) >/proc/sys/kernel/ns_last_pid")
            let other = try journey.target.start(["sleep", "1000"], output: "sleep")
            try #require(other == running.pid, "the pid \(running.pid) could not be taken")
            try journey.target.succeed("sh", "-c", "echo 10000 >/proc/sys/kernel/ns_last_pid")
            let before = running.snapshot
            let moved = try journey.migrate(running.pid)
            #expect(moved.status == 1, "\(moved)")
            #expect(
                moved.errors.contains("pid-in-use") && moved.errors.contains("on there:")
                    && moved.errors.contains("sleep"), "\(moved)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
            // Apus there has yet to end.
            #expect(eventually { journey.target.processes == [other] }, "\(journey.target.processes)")
        }
    }

    /// A file that the tree writes to all the time is taken along as it is when the tree stands still; also when it is only judged.
    @Test func aFileThatIsWrittenToIsTakenAlong() throws {
        try withJourney { journey in
            for world in [journey.source, journey.target] { try world.succeed("mount", "-t", "tmpfs", "none", "/mnt") }
            let script = "exec 3>/mnt/lines; echo ready; while :; do echo a line >&3; done"
            let pid = try journey.source.start(["sh", "-c", script], output: "out")
            #expect(eventually { lines(journey.source.path("out")).contains("ready") })
            func size(_ world: World) -> Int { text("/proc/\(world.initial)/root/mnt/lines").utf8.count }
            #expect(eventually { size(journey.source) > 10_000 })
            let moved = try journey.migrate(pid, ["--ship", "all"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            let before = size(journey.target)
            #expect(eventually { size(journey.target) > before + 1000 })
            let whole = text("/proc/\(journey.target.initial)/root/mnt/lines").split(separator: "\n").dropLast()
            #expect(whole.allSatisfy { $0 == "a line" } && whole.count * 7 >= size(journey.source))
        }
    }

    /// Its pids are taken there, and a pid namespace makes them free. Its memory comes as ever, it ends as it would, and its end is
    /// that of the namespace.
    @Test(arguments: [[], ["--channels", "3"]])
    func aPidNamespaceThere(_ options: [String]) throws {
        try withJourney { journey in
            let writer = try MemoryWriter(48, in: journey.source)
            let pid = writer.pid
            try journey.target.succeed("sh", "-c", "echo \(pid - 2) >/proc/sys/kernel/ns_last_pid")
            let other = try journey.target.start(["sleep", "1000"], output: "sleep")
            try #require(other == pid, "the pid \(pid) could not be taken")
            try journey.target.succeed("sh", "-c", "echo 10000 >/proc/sys/kernel/ns_last_pid")
            let refused = try journey.migrate(pid)
            #expect(refused.status == 1 && refused.errors.contains("--pid-policy"), "\(refused)")
            let moved = try journey.migrate(pid, options + ["--pid-policy", "new-namespace"] + (try journey.talkative))
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(journey.logThere.contains("The root is there, and is filled"), "\(journey.logThere)")
            #expect(!journey.source.isAlive(pid) && journey.target.isAlive(other))
            let there = journey.target.processes.filter { $0 != other && journey.target.isAlive($0) }
            // The init of the namespace, and the program.
            #expect(eventually { there.count == 2 }, "\(there)")
            let program = try #require(
                there.first { text("\(journey.target.proc)/\($0)/status").contains("\t\($0)\t\(pid)\n") })
            let initial = try #require(there.first { $0 != program })
            #expect(moved.output.contains("process \(initial): nsenter -t \(initial) -p -m"), "\(moved)")
            try writer.expectWhole()
            #expect(journey.target.signal(SIGTERM, program))
            #expect(eventually { journey.target.processes == [other] }, "\(journey.target.processes)")
        }
    }

    /// What reaches the other host may be deaf: it is not waited for.
    @Test func aShellThatDoesNotEnd() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let script = world.path("deaf")
            try write("#!/bin/sh\ntrap '' TERM HUP\nexec >&-\nwhile :; do sleep 1; done\n", to: script)
            try world.succeed("chmod", "755", script)
            let moved = try world.apus(
                ["migrate", "\(running.pid)", "there", "--ssh-command", script, "--state-dir", world.path("state")],
                seconds: 20)
            #expect(moved.status == 1 && moved.errors.contains("connection-lost"), "\(moved)")
            #expect(running.check() == [])
            #expect(eventually { world.processes.allSatisfy { !text("\(world.proc)/\($0)/cmdline").contains("deaf") } })
        }
    }

    /// Whoever moves such a tree on has entered its namespace, which lasts until he has said how it went.
    @Test func andOnFromThere() throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "pipes"), in: journey.source)
            let moved = try journey.migrate(running.pid, ["--pid-policy", "new-namespace"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            let there = try #require(journey.pidThere(running.pid))
            #expect(RunningSubject(running, in: journey.target, as: there).check() == [])
            let back = try journey.migrateBack(running.pid, entering: there)
            #expect(back.status == 0 && back.output.contains("The tree runs on here"), "\(back)")
            #expect(running.check() == [])
            #expect(eventually { journey.target.processes.isEmpty }, "\(journey.target.processes)")
            #expect(names(in: journey.source.path("state-there") + "/departures").isEmpty)
        }
    }

    /// What does not go together with a pid namespace is said at once.
    @Test(arguments: [["--postcopy", "auto"], ["--detach"]])
    func whatAPidNamespaceExcludes(_ options: [String]) throws {
        try withWorld { world in
            let moved = try world.apus(["migrate", "1", "nowhere", "--pid-policy", "new-namespace"] + options)
            #expect(moved.status == 1 && moved.errors.contains("does not go together with"), "\(moved)")
        }
    }

    /// A file of the tree that is another there: the copy is taken along.
    @Test func filesAreTakenAlong() throws {
        try withJourney { journey in
            // Each world has another program at the same place.
            for (world, name) in [(journey.source, "counter"), (journey.target, "pipes")] {
                try world.succeed("mount", "-t", "tmpfs", "none", "/mnt")
                try world.succeed("cp", Place.subject(name), "/mnt/program")
            }
            let pid = try journey.source.start(["/mnt/program"], output: "out")
            #expect(eventually { lines(journey.source.path("out")).contains("ready") })
            let refused = try journey.migrate(pid, ["--ship", "none"])
            #expect(refused.status == 1 && refused.errors.contains("/mnt/program"), "\(refused)")
            #expect(journey.runs(pid) == (true, false))
            let moved = try journey.migrate(pid)
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(journey.runs(pid) == (false, true))
        }
    }

    /// What speaks another language is told from what is not there.
    @Test(arguments: [
        ("true", "closed"), ("false", "closed"), ("echo hello world", "hello"),
        ("no-such-program", "cannot be started"),
    ])
    func noSuchHost(_ command: String, _ words: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let before = running.snapshot
            let moved = try world.apus(
                ["migrate", "\(running.pid)", "there", "--ssh-command", command, "--state-dir", world.path("state")])
            #expect(moved.status == 1 && moved.errors.contains(words), "\(moved)")
            #expect(running.changes(since: before) == [])
        }
    }
}
