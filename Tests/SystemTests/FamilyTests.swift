import Glibc
import Testing

/// Trees of any shape, with whatever history.
@Suite("Families", .enabled(if: geteuid() == 0, "needs root"))
struct FamilySystemTests {
    @Test(arguments: 1...12)
    func aRandomHistory(_ seed: Int) throws {
        try withWorld { world in
            let subject = Subject(name: "family", arguments: ["\(seed)", "\(40 + 10 * seed)"])
            let running = try RunningSubject(subject, in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images")
            try world.requireRestore("images")
            #expect(running.changes(since: before) == [], "seed \(seed)")
            #expect(running.check() == [], "seed \(seed)")
            // No helper is left, nor are its remains.
            #expect(Set(world.processes) == Set(before.tasks))
        }
    }

    /// A daemon by itself: its session's leader has ended, and nobody else is in the session.
    @Test func theRootIsADaemonWhoseSessionHasNoLeader() throws {
        try withWorld { world in
            let root = try daemon(in: world)
            let before = ProcessSnapshot(of: world, root: root)
            try world.requireDump(root, to: "images")
            try world.requireRestore("images")
            #expect(before.differences(to: ProcessSnapshot(of: world, root: root)) == [])
        }
    }

    /// The session lives on outside of the tree: then it cannot be made again.
    @Test func othersAreInTheSession() throws {
        try withWorld { world in
            let other = "setsid sh -c '(sleep 1000 & echo other $! >> \(world.path("pids")));"
            let script = other + " (sleep 1000 & echo root $! >> \(world.path("pids")))'"
            try world.succeed("sh", "-c", script)
            try #require(eventually { lines(world.path("pids")).count == 2 })
            let pids = lines(world.path("pids")).compactMap { Int32($0.split(separator: " ")[1]) }
            let finished = try world.dump(pids[1], to: "images")
            #expect(finished.status == 1)
            #expect(finished.errors.contains("\(pids[0]) (sleep)"), "\(finished)")
            #expect(world.isAlive(pids[0]) && world.isAlive(pids[1]))
        }
    }

    /// All pids that are taken are told at once, with who has them, and nothing is made.
    @Test func takenPidsAreNamed() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "tree"), in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let finished = try world.restore("images")
            #expect(finished.status == 1)
            for pid in before.tasks {
                #expect(finished.errors.contains("pid \(pid) is in use here by tree"), "\(finished.errors)")
            }
            #expect(running.changes(since: before) == [])
        }
    }

    /// Whoever asks the restore that waits for a tree in a pid namespace to end means the tree, and then what is left of it.
    @Test func aRestoreThatWaitsPassesSignalsOn() throws {
        try withWorld { world in
            let out = world.path("out")
            let script = "sleep 1000 & trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
            let pid = try world.start(["sh", "-c", script], output: "out")
            try #require(eventually { lines(out).contains("ready") })
            try world.requireDump(pid, to: "images")
            let restore = try world.command(
                [Place.apus, "restore", "-D", world.path("images"), "--pid-policy", "new-namespace"]
            ).start()
            func apus() -> [Int32] {
                world.processes.filter { text("\(world.proc)/\($0)/cmdline").contains("new-namespace") }
            }
            try #require(eventually { apus().count == 2 && world.processes.count > 3 })
            usleep(300_000)
            let outside = try #require(apus().min())
            #expect(world.signal(SIGTERM, outside))
            let finished = restore.wait(seconds: 20)
            #expect(finished.status == 7, "\(finished)")
            // The other one is the init, for the process that is left.
            let inside = try #require(apus().max())
            #expect(world.processes.count == 2)
            #expect(world.signal(SIGTERM, inside))
            #expect(eventually { world.processes.isEmpty }, "\(world.processes)")
        }
    }

    /// The pids are taken, and a pid namespace makes them free: the copy runs beside the original.
    @Test func aPidNamespaceForTakenPids() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "tree"), in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let options = ["--pid-policy", "new-namespace", "--pidfile", world.path("pid")]
            try world.requireRestore("images", options)
            let outer = try #require(Int32(text(world.path("pid"))))
            #expect(outer != running.pid && world.isReleased(outer, named: "tree"))
            let ids = text("\(world.proc)/\(outer)/status").split(separator: "\n").first { $0.hasPrefix("NSpid:") }
            #expect(ids?.hasSuffix("\t\(running.pid)") == true)
            // Every process of it is there once more.
            #expect(eventually { world.processes.count == 2 * before.tasks.count + 1 })
            let said = lines(world.path("tree.out")).count
            world.signal(SIGUSR1, outer)
            #expect(eventually { lines(world.path("tree.out")).count > said })
            #expect(lines(world.path("tree.out")).dropFirst(said) == ["OK"])
            #expect(running.changes(since: before) { $0.contains(" descriptors: ") } == [])
            world.signal(SIGKILL, outer)
            // Its init takes note, waits for the orphans, and ends with the last of them.
            for pid in world.processes where !before.tasks.contains(pid) { world.signal(SIGKILL, pid) }
            #expect(eventually { world.processes == before.tasks }, "\(world.processes)")
            #expect(running.check() == [])
        }
    }

    @Test(arguments: [("exit 7", 7), ("kill -9 $$", 128 + 9)])
    func theStatusComesOutOfThePidNamespace(_ end: String, _ status: Int) throws {
        try withWorld { world in
            let script = "echo begun; while [ ! -e \(world.path("go")) ]; do sleep 0.05; done; \(end)"
            let pid = try world.start(["/bin/sh", "-c", script], output: "out")
            try #require(eventually { text(world.path("out")) == "begun\n" })
            try world.requireDump(pid, to: "images", ["--leave-stopped"])
            try write("", to: world.path("go"))
            let finished = try world.apus(["restore", "-D", world.path("images"), "--pid-policy", "new-namespace"])
            #expect(finished.status == status, "\(finished)")
            world.killAll()
        }
    }

    /// Nothing is left where the restore fails, neither processes nor the init of the namespace.
    @Test func aPidNamespaceGoesWithAFailedRestore() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try world.requireDump(running.pid, to: "images")
            let options = [
                "--pid-policy", "new-namespace", "--action-script", "test $CRTOOLS_SCRIPT_ACTION != pre-resume",
            ]
            let finished = try world.restore("images", options)
            #expect(finished.status == 1 && finished.errors.contains("script"), "\(finished)")
            #expect(eventually { world.processes.isEmpty })
            let both = try world.restore("images", ["--pid-policy", "new-namespace", "--shell-job"])
            #expect(both.status == 1 && both.errors.contains("--shell-job"))
        }
    }

    /// A hundred generations, and many processes.
    @Test func manyProcesses() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "many", arguments: ["110", "100"]), in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", ["--timeout", "60"])
            try world.requireRestore("images")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// Processes that never stop making others are frozen all the same, again and again.
    @Test(arguments: ["storm", "bomb"])
    func theFreezeConverges(_ kind: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "storm", arguments: [kind, "6"]), in: world)
            try running.survivesDumps(["--timeout", "60"])
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// What two with other parents have in common from one that is gone can only be torn apart.
    @Test func anAuntAndANieceThatShareATableAreRefused() throws {
        try withWorld { world in
            let running = try RunningSubject(
                Subject(name: "unsupported", arguments: ["shared-aunt", world.folder]), in: world)
            let before = running.snapshot
            let finished = try world.dump(running.pid, to: "images")
            #expect(finished.status == 1 && finished.errors.contains("descriptors: process"), "\(finished)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    private func daemon(in world: World) throws -> Int32 {
        let script = "setsid sh -c '(sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > \(world.path("pid")))'"
        try world.succeed("sh", "-c", script)
        try #require(eventually { !text(world.path("pid")).isEmpty })
        let pid = try #require(Int32(text(world.path("pid")).dropLast()))
        // In clock_nanosleep(2), and no more on its way there.
        try #require(eventually { text("\(world.proc)/\(pid)/syscall").hasPrefix("230 ") })
        return pid
    }
}
