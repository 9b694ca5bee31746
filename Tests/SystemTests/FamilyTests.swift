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

    private func daemon(in world: World) throws -> Int32 {
        let script = "setsid sh -c '(sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > \(world.path("pid")))'"
        try world.succeed("sh", "-c", script)
        try #require(eventually { !text(world.path("pid")).isEmpty })
        return try #require(Int32(text(world.path("pid")).dropLast()))
    }
}
