import Glibc
import Testing

/// What stands in the way of a dump for a moment, and what it does without.
@Suite("Obstacles that pass", .enabled(if: geteuid() == 0, "needs root"))
struct PassingObstaclesTests {
    /// A tree that is caught in such a moment is let go and stopped again.
    @Test(.timeLimit(.minutes(2)))
    func dataOnAConnectionThatIsAcceptedLater() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "early", arguments: ["8"]), in: world)
            var retried = false
            for round in 1...100 where !retried {
                // The last check left the subject at the same place of its period each time, and so the next dump would come
                // at the same place, too.
                usleep(.random(in: 0..<16_000))
                try dump(running.pid, to: "images-\(round)", ["--leave-running"], in: world)
                retried = text(world.path("images-\(round)/dump.log")).contains(
                    "so that what was under way could arrive")
                #expect(running.check() == [], "round \(round)")
            }
            #expect(retried, "never caught in such a moment")
            try dump(running.pid, to: "images", [], in: world)
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// Dumps a tree that is in such a moment half of the time: before the freeze it may be caught in one as often as Apus
    /// looks, and then it is refused in these words, and asked again.
    private func dump(_ pid: Int32, to images: String, _ options: [String], in world: World) throws {
        for _ in 1...8 {
            let dump = try world.dump(pid, to: images, options)
            if dump.status == 0 { return }
            try #require("\(dump)".contains("error[under-way]"), "dump: \(dump)\n\(world.log(images, "dump"))")
        }
        Issue.record("refused eight times")
    }

    /// Where the kernel refuses a twin, the memory is copied while the tree stands still.
    @Test func aProcessThatMayHaveNoTwin() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "ballast", arguments: ["40", "alone"]), in: world)
            let before = running.snapshot
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let log = text(world.path("images/dump.log"))
            #expect(log.contains("cannot be copied (a limit of memory or of processes)"), "\(log)")
            #expect(!log.contains("pages of the twins"))
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
            #expect(world.processes == [running.pid])
            world.killAll()
            try world.requireRestore("images")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }
}
