import Glibc
import Testing

/// Either side dies, or the link between them, at every moment of a migration. The tree runs on one host afterwards and never on both;
/// where nobody can know, it stands still until it is settled.
@Suite(
    "Broken migrations", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3"), "needs python3"))
struct BrokenMigrationTests {
    private static let subject = Subject(name: "pipes")

    /// The link is cut at each frame, there and back.
    @Test(arguments: ["there", "back"])
    func theLinkIsCut(_ direction: String) throws {
        try withJourney { journey in
            var running = try RunningSubject(Self.subject, in: journey.source)
            let whole = try journey.migrate(running.pid)
            try #require(whole.status == 0, "\(whole)")
            let frames = direction == "there" ? journey.frames.out : journey.frames.back
            try #require(frames > 3)
            journey.target.killAll()
            running = try RunningSubject(Self.subject, in: journey.source)
            for number in 1..<frames {
                let cut = direction == "there" ? (number, 0) : (0, number)
                let moved = try journey.migrate(running.pid, cut: cut)
                running = try settled(running, journey, moved, "cut \(direction) after \(number) of \(frames) frames")
            }
        }
    }

    private static let ownPids = ["--pid-policy", "new-namespace"]

    /// The network stays away after the cut: the tree is where it was, or stands still, and `apus recover` settles it.
    @Test(arguments: ["there", "back"], [[], ownPids])
    func theNetworkStaysAway(_ direction: String, _ options: [String]) throws {
        try withJourney { journey in
            var running = try RunningSubject(Self.subject, in: journey.source)
            let whole = try journey.migrate(running.pid, options)
            try #require(whole.status == 0, "\(whole)")
            let frames = direction == "there" ? journey.frames.out : journey.frames.back
            journey.target.killAll()
            running = try RunningSubject(Self.subject, in: journey.source)
            // The last ones, which decide.
            for number in max(frames - 3, 1)..<frames {
                let cut = direction == "there" ? (number, 0) : (0, number)
                let moved = try journey.migrate(
                    running.pid, options, cut: cut, breaks: true, environment: ["APUS_TEST_SETTLING_TIME": "1"])
                let place = "cut for good \(direction) after \(number) of \(frames) frames"
                if moved.errors.contains("migration-unsettled") {
                    // Its stop takes effect before it does anything, but not before the kernel lets it have its turn.
                    #expect(eventually { !journey.runs(running.pid).here }, "\(place)")
                    #expect(journey.source.isAlive(running.pid), "\(place)")
                    #expect(try journey.recover().status == 1, "\(place)")
                }
                _ = unsafe unlink(journey.outage)
                running = try settled(running, journey, moved, place)
            }
        }
    }

    /// Apus of the host that the tree leaves is killed; also while memory of the tree that runs there already has yet to follow.
    @Test(arguments: [[], ["--postcopy", "always", "--rounds", "0"]])
    func theSourceIsKilled(_ options: [String]) throws {
        let subject = options.isEmpty ? Self.subject : Subject(name: "ballast", arguments: ["4"])
        try withJourney { journey in
            var running = try RunningSubject(subject, in: journey.source)
            let trials = Trials(world: journey.source)
            let steps = try trials.count { try journey.migrate(running.pid, options, environment: $0) }
            journey.target.killAll()
            running = try RunningSubject(subject, in: journey.source)
            // A dump is killed at each step elsewhere: here some of them, and all of the last ones.
            for step in 1...steps where step % 9 == 1 || step > steps - 12 {
                let moved = try journey.migrate(
                    running.pid, options, environment: ["APUS_TEST_KILL_AT_STEP": "\(step)"])
                running = try settled(running, journey, moved, "killed at step \(step) of \(steps)")
            }
        }
    }

    /// Apus of the host that the tree comes to is killed.
    @Test(arguments: [[], ownPids])
    func theDestinationIsKilled(_ options: [String]) throws {
        try withJourney { journey in
            let log = journey.source.path("steps")
            try journey.serve(["APUS_TEST_STEP_LOG": log])
            var running = try RunningSubject(Self.subject, in: journey.source)
            let whole = try journey.migrate(running.pid, options)
            try #require(whole.status == 0, "\(whole)")
            try #require(eventually { Int(text(log).dropLast()) != nil })
            let steps = try #require(Int(text(log).dropLast()))
            journey.target.killAll()
            running = try RunningSubject(Self.subject, in: journey.source)
            var failures = 0
            defer { #expect(failures > 3, "of \(steps) steps") }
            for step in 1...steps where step % 5 == 1 || step > steps - 12 {
                try journey.serve(["APUS_TEST_KILL_AT_STEP": "\(step)"])
                let moved = try journey.migrate(
                    running.pid, options, environment: ["APUS_TEST_SETTLING_TIME": "1"])
                if moved.status != 0 { failures += 1 }
                try journey.serve([:])
                if !options.isEmpty, moved.status == 0, eventually({ journey.pidThere(running.pid) == nil }) {
                    // The tree ran: with the init of its namespace all of it ends.
                    #expect(!journey.source.isAlive(running.pid))
                    journey.target.killAll()
                    running = try RunningSubject(Self.subject, in: journey.source)
                    continue
                }
                running = try settled(running, journey, moved, "killed there at step \(step) of \(steps)")
            }
        }
    }

    /// The program that has started the init of the tree's pid namespace is killed, or asked to end: until the tree runs everything there
    /// ends with it.
    @Test(arguments: [SIGKILL, SIGTERM])
    func whoHasStartedTheInitEnds(_ signal: Int32) throws {
        try withJourney { journey in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["64"]), in: journey.source)
            let migration = try journey.migration(
                running.pid, Self.ownPids + ["--max-bandwidth", "8M", "--compress", "none"])
            func receivers() -> [Int32] { journey.target.processes.filter { journey.isApus("--stdio", $0) } }
            #expect(eventually { receivers().contains { journey.isApus("--own-pids", $0) } })
            usleep(300_000)
            let outside = try #require(receivers().first { !journey.isApus("--own-pids", $0) })
            #expect(journey.target.signal(signal, outside))
            let moved = migration.wait(seconds: 60)
            #expect(moved.status == 1, "\(moved)")
            #expect(eventually { receivers().isEmpty }, "\(receivers())")
            #expect(journey.runs(running.pid) == (true, false))
            #expect(running.check() == [])
        }
    }

    /// Looks where the tree is, settles what is in doubt, and checks the tree.
    ///
    /// - Returns: the subject to go on with, in the first world.
    private func settled(
        _ running: RunningSubject, _ journey: Journey, _ moved: Finished, _ place: String
    ) throws -> RunningSubject {
        let pid = running.pid
        func isOnce() -> Bool {
            let runs = journey.runs(pid)
            return runs.here ? journey.pidThere(pid) == nil : runs.there && !journey.source.isAlive(pid)
        }
        // Whoever died may be missed only now.
        var isSettled = eventually(seconds: 3, isOnce)
        #expect(!(journey.runs(pid).here && journey.runs(pid).there), "\(place): it runs twice")
        // Who was killed has left a record: some of the tree may be stopped, and some not.
        if !isSettled || names(in: journey.state + "/departures").contains(where: { $0.hasSuffix(".json") }) {
            let recovered = try journey.recover()
            #expect(recovered.status == 0, "\(place): \(recovered)")
            isSettled = eventually(seconds: 3, isOnce)
        }
        try #require(isSettled, "\(place): \(journey.runs(pid)) \(moved)\n\(journey.logThere)")
        if journey.runs(pid).here {
            #expect(moved.status != 0, "\(place): \(moved)")
            #expect(eventually { !journey.target.processes.contains(where: journey.target.isAlive) }, "\(place)")
            #expect(running.check() == [], "\(place)")
            return running
        }
        #expect(
            RunningSubject(running, in: journey.target, as: journey.pidThere(pid)).check() == [], "\(place)")
        journey.target.killAll()
        journey.source.killAll()
        return try RunningSubject(running.subject, in: journey.source)
    }
}
