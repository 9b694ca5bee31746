import Glibc
import Testing

/// The subjects are content when nothing has happened to them, and two looks at them show the same: otherwise what
/// the other tests find would mean nothing.
@Suite("Subjects by themselves", .enabled(if: geteuid() == 0, "needs root"))
struct SubjectsThemselvesTests {
    @Test(arguments: Subject.all)
    func threeRoundsWithoutADump(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            let before = running.snapshot
            #expect(running.changes(since: before) == [])
            for _ in 1...3 { #expect(running.check() == []) }
            if subject.renewsChildren { return }
            #expect(running.changes(since: before, but: Self.changesByItself(subject)) == [])
        }
    }

    /// A comparison that could not fail would prove nothing.
    @Test func aSnapshotShowsWhatHasChanged() throws {
        try withWorld { world in
            let first = try RunningSubject(Subject(name: "counter"), in: world)
            let before = first.snapshot
            let second = try world.start([Place.subject("counter")], output: "other")
            let other = ProcessSnapshot(of: world, root: second)
            #expect(before.differences(to: other).contains("process \(first.pid) is missing"))
            world.signal(SIGSTOP, first.pid)
            #expect(eventually { !before.differences(to: first.snapshot).isEmpty })
        }
    }

    /// Nothing of a test outlives it.
    @Test func aWorldEndsWithEverythingInIt() throws {
        let world = try World()
        let pid = try world.start([Place.subject("tree")], output: "out")
        #expect(eventually { world.processes.count > 5 })
        let host = text("\(world.proc)/\(pid)/status")
        #expect(host.contains("Name:\ttree"))
        world.end()
        #expect(!exists(world.folder))
        #expect(!exists("/proc/\(world.initial)/ns/pid"))
    }

    /// What the checks of a subject change: one of `seccomp` proves that filters are shared by adding to them.
    private static func changesByItself(_ subject: Subject) -> (String) -> Bool {
        { $0.contains("descriptors") || subject.name == "seccomp" && $0.contains("Seccomp_filters") }
    }
}
