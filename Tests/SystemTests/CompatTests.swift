import Glibc
import Testing

/// 32-bit programs, beside what their subjects show.
@Suite(
    "32-bit programs", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: !Subject.compat.isEmpty, "needs a compiler and a kernel for 32-bit programs"))
struct CompatTests {
    private static let subject = Subject(name: "compat-32")

    /// A shell of 64 bits with children of both kinds.
    @Test func aTreeOfBothKinds() throws {
        try withWorld { world in
            let programs = ["compat-32", "threads", "tree-32"].map { "'\(Place.subject($0))' &" }
            let root = try world.start(["sh", "-c", programs.joined(separator: " ") + " wait"], output: "out")
            let children = {
                world.processes.filter { text("\(world.proc)/\($0)/status").contains("PPid:\t\(root)\n") }
            }
            let count = { (word: String) in lines(world.path("out")).count { $0 == word } }
            try #require(eventually { count("ready") == 3 && children().count == 3 }, "\(lines(world.path("out")))")
            for round in 1...2 {
                let before = ProcessSnapshot(of: world, root: root, terminal: false)
                try world.requireDump(root, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                var changes: [String] = []
                _ = eventually(seconds: 2) {
                    changes = before.differences(to: ProcessSnapshot(of: world, root: root, terminal: false))
                    return changes.isEmpty
                }
                #expect(changes == [], "round \(round)")
                let content = count("OK")
                for child in children() { world.signal(SIGUSR1, child) }
                #expect(eventually { count("OK") == content + 3 }, "round \(round): \(lines(world.path("out")))")
                #expect(count("BAD") == 0)
            }
        }
    }

    /// Its threads are led out one by one.
    @Test func aStoppedOneStaysStopped() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            world.signal(SIGSTOP, running.pid)
            let isStopped = { text("\(world.proc)/\(running.pid)/status").contains("State:\tT") }
            try #require(eventually { isStopped() })
            try world.requireDump(running.pid, to: "images")
            try world.requireRestore("images")
            #expect(isStopped())
            world.signal(SIGCONT, running.pid)
            #expect(running.check() == [])
        }
    }

    /// The images say what it is, and so do we.
    @Test func itsImagesSayWhatItIs() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            try world.requireDump(running.pid, to: "images")
            let plan = try world.apus(["restore", "-D", world.path("images"), "--dry-run"])
            #expect(plan.status == 0)
            #expect(plan.output.contains("map the 32-bit vdso"))
            #expect(!plan.output.contains("park"))
        }
    }
}
