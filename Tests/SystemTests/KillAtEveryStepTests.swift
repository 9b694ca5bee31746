import Glibc
import Testing

/// Apus is killed at each step it takes. The original must never be harmed, and a restore must leave all or nothing.
@Suite("Killed at every step", .enabled(if: geteuid() == 0, "needs root"))
struct KillAtEveryStepTests {
    /// Runs, threads, memory, pipes and waits in one tree would hide which one was harmed, so they take turns.
    static let subjects =
        Subject.all.filter {
            [
                "registers", "threads", "leaderless", "pipes", "signals", "aio", "sysv", "posixipc", "queuewatch",
                "compat-32",
                "sharedvm",
            ].contains($0.name)
        }
        + Subject.ofThoseChosen(
            [
                // A tracer that dies right after stopping a thread leaves it to the kernel, which ends some calls with EINTR:
                // signal(7), "Interruption of system calls and library functions by stop signals". More than some processes
                // would take too many steps.
                Subject(
                    name: "waits",
                    arguments: [
                        "sigtimedwait", "epoll_wait", "semtimedop", "recv with SO_RCVTIMEO", "recv", "accept",
                        "eventfd",
                        "msgrcv", "pause",
                    ], renewsChildren: true),
                Subject(name: "ptys", arguments: ["alone"]),
                // A thread without a selector is not safe from this, and the documents say so.
                Subject(name: "dispatch", arguments: ["governed"]),
                Subject(name: "tcp", arguments: ["few"], options: ["--tcp-established"]),
                // Large enough for a twin.
                Subject(name: "ballast", arguments: ["33"]),
                Subject(name: "sharedvm", arguments: ["33"]),
            ].filter { $0.name != "dispatch" || Place.showsDispatch })

    /// Which steps a dump is killed at: all of them, but for several processes with large memory, where each dump takes long
    /// and most steps are those that the small subject of the same kind takes too. There every so many, and the last ones,
    /// which commit.
    private static func walked(_ steps: Int, _ subject: Subject) -> [Int] {
        guard subject.arguments == ["33"], steps > 64 else { return Array(1...steps) }
        return (1...steps).filter { $0 % (steps / 16) == 1 || $0 > steps - 4 }
    }

    /// With `--leave-running` the target lives whatever happens.
    @Test(arguments: subjects)
    func aDumpThatLeavesTheTargetRunning(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            let trials = Trials(world: world)
            let run = { (environment: [String: String]) in
                try world.dump(
                    running.pid, to: "images", running.dumpOptions + ["--leave-running"], environment: environment)
            }
            var before = running.snapshot
            let steps = try trials.count(run)
            #expect(steps > 0)
            #expect(running.changes(since: before) == [], "after a dump")
            for step in Self.walked(steps, subject) {
                world.removeImages()
                guard try trials.kill(at: step, run) else { continue }
                let harm = Self.harm(running, before)
                try #require(harm == [], "killed at step \(step) of \(steps)")
                try #require(
                    eventually(seconds: 2) { world.processes == running.snapshot.tasks },
                    "killed at step \(step) of \(steps): \(world.processes) are there")
                before = running.snapshot
            }
            #expect(running.check() == [])
        }
    }

    /// A dump that ends its target: the whole tree lives on, or it has gone and the images bring it back. Never a part of it.
    @Test(
        arguments: Subject.ofThoseChosen([
            Subject(name: "counter"), Subject(name: "tree"),
            Subject(name: "tcp", arguments: ["few"], options: ["--tcp-established"]),
        ]))
    func aDumpThatEndsTheTarget(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            let trials = Trials(world: world)
            let run = { (environment: [String: String]) in
                try world.dump(running.pid, to: "images", running.dumpOptions, environment: environment)
            }
            let steps = try trials.count(run)
            try world.requireRestore("images", running.dumpOptions)
            var gone = 0
            for step in 1...steps {
                world.removeImages()
                let before = running.snapshot
                _ = try trials.kill(at: step, run)
                let harm = world.isAlive(running.pid) ? Self.harm(running, before) : ["it has gone"]
                if harm.isEmpty {
                    try #require(gone == 0, "gone at an earlier step, alive at step \(step)")
                    continue
                }
                // What was on its way out when it was looked at has gone by now, all of it.
                try #require(
                    eventually(seconds: 2) { world.processes.isEmpty },
                    "killed at step \(step) of \(steps): \(harm.joined(separator: "; "))")
                gone += 1
                let restore = try world.restore("images", running.dumpOptions)
                try #require(restore.status == 0, "gone at step \(step) without complete images: \(restore)")
                try #require(running.changes(since: before) == [], "restored after step \(step)")
                try #require(running.check() == [], "restored after step \(step)")
            }
        }
    }

    private static let restored = Subject.ofThoseChosen(
        ["counter", "tree", "daemons", "pipes", "threads", "leaderless", "aio", "sysv", "sharedvm"].map {
            Subject(name: $0)
        }
            + [
                Subject(name: "tcp", arguments: ["few"], options: ["--tcp-established"]),
                // A second thread of a stopped process is not itself again before it goes on, if Apus is killed on its way.
                Subject(name: "stops", arguments: ["single"]),
                // Threads that are led into the rest of a wait: those in poll and nanosleep.
                Subject(
                    name: "waits",
                    arguments: [
                        "read", "ppoll", "select", "clock_nanosleep", "sigtimedwait", "sigsuspend", "futex", "wait4",
                        "write",
                        "epoll_wait", "pause", "eventfd", "msgrcv", "semtimedop", "recv", "recv with SO_RCVTIMEO",
                        "accept",
                    ]),
            ])

    @Test(arguments: restored)
    func aRestore(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", running.dumpOptions)
            let trials = Trials(world: world)
            let run = { (environment: [String: String]) in
                try world.restore("images", running.dumpOptions, environment: environment)
            }
            let steps = try trials.count(run)
            world.killAll()
            let files = Self.files(world)
            var whole = 0
            for step in 1...steps {
                _ = try trials.kill(at: step, run)
                if eventually(seconds: 0.5, { world.processes.isEmpty }) {
                    try #require(whole == 0, "the whole tree at an earlier step, nothing at step \(step)")
                } else {
                    let harm = Self.harm(running, before)
                    // On a busy host what was to end takes longer. A whole tree does not go away by itself.
                    if harm.isEmpty || whole > 0 || !eventually(seconds: 5, { world.processes.isEmpty }) {
                        whole += 1
                        try #require(harm == [], "restored by a run that was killed at step \(step) of \(steps)")
                        world.killAll()
                    }
                }
                try #require(Self.files(world) == files, "left behind at step \(step)")
            }
            try world.requireRestore("images", running.dumpOptions)
            #expect(running.check() == [])
        }
    }

    /// What has become of a target. It may take a moment until it has healed itself, and a stopped task cannot do so before
    /// it is continued.
    private static func harm(_ running: RunningSubject, _ before: ProcessSnapshot) -> [String] {
        let stopped = before.stopped.flatMap { ["process \($0) ", "thread \($0) "] }
        let differences = running.changes(since: before) { line in stopped.contains(where: line.hasPrefix) }
        let failures = differences.isEmpty ? running.check() : differences
        if stopped.isEmpty || !failures.isEmpty { return failures }
        for pid in before.stopped { running.world.signal(SIGCONT, pid) }
        let unhealed = running.changes(since: before) { $0.contains("descriptors") || $0.contains("State:") }
        for pid in before.stopped { running.world.signal(SIGSTOP, pid) }
        if !unhealed.isEmpty { return unhealed }
        // What it has printed by now has moved its output on.
        return running.changes(since: before) { $0.contains("descriptors") }
    }

    /// All files in the folder of the world but logs and what the subject writes.
    private static func files(_ world: World) -> [String] {
        listing(world.folder).filter { !$0.contains(".log ") && !$0.contains(".out ") && !$0.contains("stats-") }
    }
}
