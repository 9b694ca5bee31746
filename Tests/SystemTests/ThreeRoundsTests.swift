import Glibc
import Testing

/// Dump, restore, check; and the same again with what was restored, three times over.
@Suite("Three rounds", .enabled(if: geteuid() == 0, "needs root"))
struct ThreeRoundsTests {
    @Test(arguments: Subject.all)
    func dumpAndRestore(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            var terminals: [Job] = []
            for round in 1...3 {
                let before = running.snapshot
                let images = "images-\(round)"
                try world.requireDump(running.pid, to: images, running.dumpOptions)
                #expect(
                    eventually(seconds: 1) { !before.tasks.contains(where: world.isAlive) },
                    "some are left after the dump of round \(round)")
                if subject.terminal {
                    terminals.append(try restoreIntoATerminal(running, images))
                } else {
                    try world.requireRestore(images, running.dumpOptions)
                }
                #expect(running.changes(since: before) == [], "after the restore of round \(round)")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// A terminal of its own for the restored tree, whose output is appended to that of the first.
    private func restoreIntoATerminal(_ running: RunningSubject, _ images: String) throws -> Job {
        let world = running.world
        let arguments = ["restore", "-D", world.path(images), "-v4", "-o", "restore.log"] + running.dumpOptions
        // On a slow machine Apus would show its progress among what the subject prints.
        let quietly = ["sh", "-c", "exec \"$@\" 2>>'\(world.path("errors"))'", "sh"]
        let job = try world.job(quietly + [Place.apus] + arguments, output: "\(running.subject.name).out")
        try #require(
            eventually { world.isReleased(running.pid, named: running.subject.name) },
            "not restored: \(world.log(images, "restore"))")
        return job
    }

    /// The original goes on, the copy is as good as it.
    @Test(arguments: Subject.all)
    func leaveRunning(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", running.dumpOptions + ["--leave-running"])
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
            guard !subject.terminal else { return }
            world.killAll()
            // Files have moved on since; where their size is part of the state the restore has to refuse.
            let restore = try world.restore("images", running.dumpOptions)
            if restore.status == 0 {
                #expect(running.changes(since: before) == [])
            } else {
                #expect(subject.name == "files" && restore.errors.contains("size"), "\(restore)")
                #expect(world.processes == [])
            }
        }
    }

    /// As on Linux 6.11 and 6.12, whose vdso has little room: threads come under control one after the other.
    @Test(arguments: Subject.few)
    func withLittleRoomInTheVdso(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            let before = running.snapshot
            for options in [["--leave-running"], []] {
                let dump = try world.dump(
                    running.pid, to: "images", options, environment: ["APUS_TEST_NARROW_VDSO": "1"])
                try #require(dump.status == 0, "dump: \(dump)\n\(world.log("images", "dump"))")
                if !options.isEmpty { #expect(running.changes(since: before) == []) }
            }
            try world.requireRestore("images", running.dumpOptions)
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// As on a kernel before 6.7, where the states of the pages are read word by word.
    @Test(arguments: Subject.few)
    func withoutPagemapScan(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            let before = running.snapshot
            let dump = try world.dump(running.pid, to: "images", environment: ["APUS_TEST_NO_PAGEMAP_SCAN": "1"])
            try #require(dump.status == 0, "dump: \(dump)\n\(world.log("images", "dump"))")
            try world.requireRestore("images", running.dumpOptions)
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }
}
