import Glibc
import Testing

/// The images are CRIU's format: what one of the two tools dumps, the other restores.
@Suite(
    "CRIU and Apus restore each other's images", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Criu.obstacle == nil, Comment(rawValue: Criu.obstacle ?? "")))
struct CriuInteropTests {
    typealias Direction = CriuOutcome.Direction

    /// One subject on its way from tool to tool.
    struct Journey: CustomTestStringConvertible {
        let direction: Direction
        let subject: Subject
        var testDescription: String { "\(subject.name), \(direction.testDescription)" }
        let outcome: CriuOutcome

        static let all = (Direction.both + [.alone]).flatMap { direction in
            Subject.all.compactMap { subject in
                CriuOutcome.of(subject, direction).map { Journey(direction: direction, subject: subject, outcome: $0) }
            }
        }
        static let carried = all.filter { if case .carried = $0.outcome { true } else { false } }
        static let refused = all.filter { if case .refused = $0.outcome { true } else { false } }
        static let endless = all.filter { if case .endless = $0.outcome { true } else { false } }
    }

    @Test(arguments: Journey.carried)
    func checksItself(_ journey: Journey) throws {
        let (direction, subject) = (journey.direction, journey.subject)
        guard case .carried(let lost) = journey.outcome else { return }
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            try world.requireDump(by: direction.dumper, running.pid, to: "images", running.dumpOptions)
            // The terminal lasts as long as its job is known here.
            var job: Job?
            defer { withExtendedLifetime(job) {} }
            if subject.terminal {
                job = try world.requireJob(
                    by: direction.restorer, "images", output: "\(subject.name).out", running.pid, named: subject.name)
            } else {
                try world.requireRestore(by: direction.restorer, "images", running.dumpOptions)
            }
            if subject.options.contains("--tcp-established"), direction.dumper != direction.restorer {
                try world.unlockNetwork(dumpedBy: direction.dumper, "images")
            }
            #expect(running.check().filter { !CriuOutcome.allows($0, lost) } == [])
        }
    }

    /// What CRIU cannot have it refuses, for the reason that docs/compatibility.md tells: not for another one.
    @Test(arguments: Journey.refused)
    func isRefused(_ journey: Journey) throws {
        guard case .refused(let reason, let tool) = journey.outcome else { return }
        try withWorld { world in
            let running = try RunningSubject(journey.subject, in: world)
            let failure = #expect(throws: Failed.self) {
                try world.requireDump(by: journey.direction.dumper, running.pid, to: "images", running.dumpOptions)
                try world.requireRestore(by: journey.direction.restorer, "images", running.dumpOptions)
            }
            let said = failure.map { "\($0)" } ?? "nothing"
            #expect(said.contains("by \(tool)") && said.contains(reason), "\(said)")
        }
    }

    /// What CRIU does not come to an end with, so that nobody takes it for a fault of the other tool. Where it does come to
    /// an end some day, this says so.
    @Test(arguments: Journey.endless)
    func doesNotEnd(_ journey: Journey) throws {
        guard case .endless(let step) = journey.outcome else { return }
        try withWorld { world in
            let running = try RunningSubject(journey.subject, in: world)
            let failure = #expect(throws: Failed.self) {
                let (dump, restore) = (step == .dump ? Self.fewSeconds : nil, step == .restore ? Self.fewSeconds : nil)
                try world.requireDump(
                    by: journey.direction.dumper, running.pid, to: "images", running.dumpOptions,
                    within: dump ?? World.limit)
                try world.requireRestore(
                    by: journey.direction.restorer, "images", running.dumpOptions, within: restore ?? World.limit)
            }
            let said = failure.map { "\($0)" } ?? "nothing"
            #expect(said.hasPrefix("\(step) by criu: \(World.didNotEnd)"), "\(said)")
        }
    }

    /// Several times as long as CRIU takes for what it does end, on an emulated processor.
    private static let fewSeconds = 45.0

    /// From tool to tool and back: what CRIU has restored from Apus' images is dumped by Apus again, and the other way round.
    @Test func thereAndBack() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            for (round, tools) in (Direction.both + Direction.both).enumerated() {
                try world.requireDump(by: tools.dumper, pid, to: "images-\(round)")
                #expect(world.processes == [])
                try world.requireRestore(by: tools.restorer, "images-\(round)")
                #expect(script.goesOn(in: world), "\(tools.testDescription), round \(round)")
            }
            #expect(script.mistakes(in: world) == [])
        }
    }

    @Test(arguments: Direction.both)
    func aPipeline(_ direction: Direction) throws {
        try withWorld { world in
            try write(
                "seq 0 1000000 | while read n; do echo $n; sleep 0.02; done\n", to: world.path("pipeline.sh"))
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", world.path("pipeline.sh")], output: script.output)
            #expect(script.goesOn(in: world))
            try world.requireDump(by: direction.dumper, pid, to: "images")
            #expect(world.processes == [])
            try world.requireRestore(by: direction.restorer, "images")
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    /// The job of a terminal becomes the job of another one.
    @Test(arguments: Direction.both)
    func inATerminal(_ direction: Direction) throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let job = try world.job(["bash", script.path], output: script.output)
            let pid = try #require(job.pid)
            #expect(script.goesOn(in: world))
            try world.requireDump(by: direction.dumper, pid, to: "images", ["--shell-job"])
            #expect(eventually { job.status == 128 + Int(SIGKILL) })
            let restored = try world.requireJob(
                by: direction.restorer, "images", output: script.output, pid, named: "bash")
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
            restored.type([3])
            #expect(eventually { restored.status != nil })
            #expect(eventually { world.processes.isEmpty })
        }
    }
}
