import Glibc
import Testing

/// Processes that share their memory, or their signal handlers, without being threads (clone(2), CLONE_VM).
@Suite("Processes that share memory", .enabled(if: geteuid() == 0, "needs root"))
struct SharedMemoryProcessesTests {
    static let subject = Subject(name: "sharedvm", arguments: ["8"])

    /// The processes of the subject by what they are, in the order in which they are made.
    private struct Roles {
        let close, grandchild, forked, first, sister, writer, plain: Int32

        init(_ running: RunningSubject) throws {
            let tasks = running.snapshot.tasks.filter { $0 != running.pid }
            try #require(tasks.count == 7, "\(tasks)")
            (close, grandchild, forked, first, sister) = (tasks[0], tasks[1], tasks[2], tasks[3], tasks[4])
            (writer, plain) = (tasks[5], tasks[6])
        }
    }

    /// The memory is in the images once, and once in the restored tree.
    @Test func oneMemoryIsStoredOnce() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            try world.requireDump(running.pid, to: "images")
            var sizes: [String: Int] = [:]
            for place in ["images", "images/shared"] {
                for name in names(in: world.path(place)) where name.hasPrefix("pages-") {
                    sizes["\(place)/\(name)"] = bytes(at: world.path("\(place)/\(name)"))?.count ?? 0
                }
            }
            // 12 MiB and some pages; the forked child has most of them copy-on-write.
            let stored = sizes.values.reduce(0, +)
            #expect(stored > 12 << 20 && stored < 13 << 20, "\(sizes)")
            try world.requireRestore("images")
            #expect(running.check() == [])
            let roles = try Roles(running)
            let resident = Self.kilobytes("Pss", running.pid, world)
            #expect(resident < 16 << 10, "\(resident) KiB")
            #expect(Self.kilobytes("Pss", roles.plain, world) == resident)
        }
    }

    private static func kilobytes(_ field: String, _ pid: Int32, _ world: World) -> Int {
        let line = lines("\(world.proc)/\(pid)/smaps_rollup").first { $0.hasPrefix(field + ":") } ?? ""
        return line.split(separator: " ").compactMap { Int($0) }.first ?? 0
    }

    /// One twin stands for all that have the memory.
    @Test func theTreeRunsOnWhileItsMemoryIsWritten() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "sharedvm", arguments: ["40"]), in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(text(world.path("images/dump.log")).contains("pages of the twins"))
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
            world.killAll()
            try world.requireRestore("images")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// Who leaves last unmaps what was Apus', stopped or not.
    @Test func someAreStopped() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            let roles = try Roles(running)
            for stopped in [[roles.plain], [roles.writer, roles.grandchild], [running.pid]] {
                for pid in stopped { world.signal(SIGSTOP, pid) }
                try #require(eventually { running.snapshot.stopped == stopped.sorted() })
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images")
                try world.requireRestore("images")
                // Stopped in sigsuspend(2) the root shows the mask of that call, which it makes anew once it is continued.
                #expect(
                    running.changes(since: before) {
                        $0.contains("thread \(running.pid) status") && $0.contains("SigBlk")
                    }
                        == [], "\(stopped) stopped")
                for pid in stopped { world.signal(SIGCONT, pid) }
                #expect(running.check() == [], "\(stopped) stopped")
            }
        }
    }

    @Test func allAreLeftStopped() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images")
            try world.requireRestore("images", ["--leave-stopped"])
            #expect(running.snapshot.stopped == before.tasks)
            for pid in before.tasks { world.signal(SIGCONT, pid) }
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    @Test func thePlanSaysWhoSharesWhat() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            let roles = try Roles(running)
            try world.requireDump(running.pid, to: "images")
            let plan = try world.restore("images", ["--dry-run"]).output
            #expect(
                plan.contains(
                    "Process \(roles.close) (sharedvm), made by \(running.pid), whose memory, signal handlers, descriptors,"
                        + " working directory it shares"), "\(plan.prefix(2000))")
            #expect(
                plan.contains("Process \(roles.plain) (another name), made by \(running.pid), whose memory it shares"))
            #expect(plan.contains("Process \(roles.forked) (sharedvm), made by \(roles.close)\n"))
            #expect(
                plan.contains(
                    "Process \(roles.sister) (sharedvm), made by \(roles.first), whose memory, descriptors it"))
        }
    }

    /// Half of a memory cannot be taken.
    @Test func onesThatShareWithAProcessOutsideAreRefused() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            let (roles, before) = (try Roles(running), running.snapshot)
            for pid in [roles.plain, roles.close, roles.grandchild] {
                let finished = try world.dump(pid, to: "images")
                #expect(finished.status == 1, "\(finished)")
                #expect(finished.errors.contains("memory"), "\(finished)")
                #expect(finished.errors.contains("with process \(running.pid) (sharedvm)"), "\(finished)")
            }
            #expect(try world.dump(roles.plain, to: "images").errors.contains("--tree \(running.pid)"))
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// A sharer that init has adopted is no child of the tree's any more.
    @Test(arguments: [("orphan-memory", "memory"), ("orphan-directory", "working directory")])
    func anOrphanOutsideThatSharesIsNamed(_ kind: String, _ what: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "unsupported", arguments: [kind, world.folder]), in: world)
            let before = running.snapshot
            let orphan = try #require(world.processes.last { $0 != running.pid })
            let finished = try world.dump(running.pid, to: "images")
            #expect(finished.status == 1, "\(finished)")
            #expect(
                finished.errors.contains("it shares its \(what) with process \(orphan) (unsupported)"), "\(finished)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }
}
