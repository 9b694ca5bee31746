import Glibc
import Testing

/// Memory that goes over several connections at a time.
@Suite(
    "Migrations over several connections", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3"), "needs python3"))
struct ChannelsMigrationTests {
    /// Memory of all kinds, which checks itself; of several processes; and shared memory.
    @Test(arguments: [
        Subject(name: "memory", arguments: ["FOLDER/mapped"]), Subject(name: "family-memory", arguments: ["2", "6"]),
        Subject(name: "sysv", renewsChildren: true), Subject(name: "counter"),
    ])
    func memoryOfAllKinds(_ subject: Subject) throws {
        try withJourney { journey in
            let running = try RunningSubject(subject, in: journey.source)
            let before = running.snapshot
            let moved = try journey.migrate(running.pid, subject.options + ["--channels", "3", "--json"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(moved.output.contains("\"channels\":3"), "\(moved)")
            let there = RunningSubject(running, in: journey.target)
            #expect(there.changes(since: before) == [])
            #expect(there.check() == [])
            // Those that have handed their connections over end with the one that has them.
            if subject.renewsChildren { return }
            #expect(eventually { journey.isQuietThere(but: before.tasks) }, "\(journey.target.processes)")
        }
    }

    /// Pages that are written to in each round: the last of each is the one that counts.
    @Test(arguments: [(2, "none"), (4, "auto"), (16, "lz4")])
    func aWriter(_ channels: Int, _ way: String) throws {
        try withJourney { journey in
            let fifo = journey.source.path("status")
            try journey.source.succeed("mkfifo", fifo)
            let pid = try journey.source.start(
                ["python3", Programs.path("zero_writer.py"), "48", fifo], output: "out")
            let out = journey.source.path("out")
            #expect(eventually { lines(out).contains("ready") })
            let moved = try journey.migrate(
                pid, ["--channels", "\(channels)", "--compress", way, "--max-bandwidth", "40M"])
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            for count in 1...2 {
                try write("?\n", to: fifo)
                #expect(eventually { lines(out).count > count })
                #expect(lines(out).last?.hasPrefix("OK") == true, "\(lines(out))")
            }
        }
    }

    @Test func overTLS() throws {
        try withPairedWorlds { worlds in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["40"]), in: worlds.source)
            let before = running.snapshot
            let moved = try worlds.migrate(running.pid, ["--channels", "2"])
            try #require(moved.status == 0, "\(moved)\n\(worlds.log)")
            let there = RunningSubject(running, in: worlds.target)
            #expect(there.changes(since: before) == [])
            #expect(there.check() == [])
        }
    }

    /// The link of one of several is cut, early and late: the tree runs on where it was.
    @Test(arguments: [1, 2, 3, 10, 1000])
    func oneIsCut(_ frames: Int) throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["64"]), in: journey.source)
            let before = running.snapshot
            let script = try journey.linkWithCut(of: 2, after: frames)
            let moved = try journey.migrate(
                running.pid, ["--channels", "3", "--compress", "none", "--ssh-command", script])
            if frames == 1000 {
                // It has fewer.
                try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
                #expect(RunningSubject(running, in: journey.target).check() == [])
                return
            }
            #expect(moved.status == 1, "\(moved)")
            #expect(eventually { journey.runs(running.pid) == (true, false) }, "\(moved)")
            #expect(eventually { !journey.target.processes.contains(where: journey.target.isAlive) })
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// Who does not know the secret, or the migration, is not let in.
    @Test func strangers() throws {
        try withJourney { journey in
            func join(_ uuid: String) throws -> String {
                let script = """
                    import json, subprocess, sys
                    body = json.dumps({"protocol": 2, "uuid": sys.argv[1], "secret": "0" * 72, "number": 1}).encode()
                    frame = b"AP" + bytes([33, 0]) + len(body).to_bytes(4, "little") + body
                    done = subprocess.run(sys.argv[2:], input=frame, capture_output=True, timeout=20)
                    print(done.returncode, done.stderr)
                    """
                return try journey.target.command(
                    ["python3", "-c", script, uuid, Place.apus, "receive", "--stdio", "-v1"]
                ).run().output
            }
            #expect(try join("00000000-0000-4000-8000-000000000000").contains("channels-unusable"))
            #expect(try join("../../etc/passwd").contains("protocol"))
            let pid = try RunningSubject(Subject(name: "ballast", arguments: ["40"]), in: journey.source).pid
            let migration = try journey.source.command(
                [
                    Place.apus, "migrate", "\(pid)", "there", "-v4", "-o", journey.source.path("migrate.log"),
                    "--state-dir", journey.state, "--channels", "2", "--max-bandwidth", "8M", "--ssh-command",
                    "python3 \(Programs.path("link.py")) connect \(journey.source.path("link.socket")) 0 0",
                    "--remote-apus", Place.apus,
                ]
            ).start()
            var uuid = ""
            #expect(
                eventually {
                    uuid =
                        names(in: "/proc/\(journey.target.initial)/root/dev/shm")
                        .first { $0.hasPrefix("apus-incoming-") }.map { String($0.dropFirst(14)) } ?? ""
                    return !uuid.isEmpty
                        && exists("/proc/\(journey.target.initial)/root/dev/shm/apus-incoming-\(uuid)/channels")
                })
            _ = try join(uuid)
            let moved = migration.wait(seconds: 60)
            #expect(moved.status == 0, "\(moved)\n\(journey.logThere)")
            #expect(journey.runs(pid) == (false, true))
        }
    }

    @Test(arguments: ["0", "17", "many"])
    func noSuchNumber(_ count: String) throws {
        try withWorld { world in
            let refused = try world.apus(["migrate", "2", "there", "--ssh-command", "false", "--channels", count])
            #expect(refused.status == 1 && refused.errors.contains("--channels"), "\(refused)")
        }
    }
}

extension Journey {
    /// A link that is cut in one of several connections.
    ///
    /// - Parameters:
    ///   - number: in the order in which they are made, from 1 on.
    ///   - frames: after so many there.
    func linkWithCut(of number: Int, after frames: Int) throws -> String {
        let script = source.path("cut")
        try write(
            """
            #!/bin/sh
            (
                flock 9
                count=$(($(cat \(script).count 2>/dev/null || echo 0) + 1))
                echo $count >\(script).count
                exit $((count == \(number)))
            ) 9>\(script).lock
            [ $? = 1 ] && frames=\(frames) || frames=0
            exec python3 \(Programs.path("link.py")) connect \(source.path("link.socket")) $frames 0 "$@"

            """, to: script, mode: 0o755)
        return script
    }

    /// Whether nothing runs in the second world but these.
    func isQuietThere(but tasks: [Int32]) -> Bool {
        target.processes.filter(target.isAlive).allSatisfy(tasks.contains)
    }
}
