import Glibc
import Testing

/// Several trees that move by one command.
@Suite(
    "Migrations of several trees", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3"), "needs python3"))
struct SeveralTreesMigrationTests {
    private func start(_ count: Int, _ journey: Journey) throws -> [RunningSubject] {
        try (0..<count).map { _ in try RunningSubject(Subject(name: "pipes"), in: journey.source) }
    }

    private func operand(_ trees: [RunningSubject]) -> String {
        trees.map { "\($0.pid)" }.joined(separator: ",")
    }

    @Test(arguments: [[], ["--json"]])
    func allOfThem(_ options: [String]) throws {
        try withJourney { journey in
            let trees = try start(3, journey)
            let moved = try journey.migrate(operand(trees), options)
            try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
            for tree in trees {
                #expect(journey.runs(tree.pid) == (false, true))
                #expect(RunningSubject(tree, in: journey.target).check() == [])
                #expect(
                    options.isEmpty
                        ? moved.output.contains("\(tree.pid): runs on there; paused for")
                        : moved.output.contains("{\"pid\":\(tree.pid),\"place\":\"there\"}"), "\(moved)")
            }
            #expect(
                moved.output.contains(options.isEmpty ? "All 3 trees run on there." : "\"ok\":true"), "\(moved)")
            #expect(names(in: journey.state + "/departures") == [])
        }
    }

    /// What stands in the way of any of them keeps all of them, and all of it is said.
    @Test func obstaclesOfAll() throws {
        try withJourney { journey in
            let trees = try start(3, journey)
            // The pids of the second and the third are taken there.
            for tree in trees.dropFirst() {
                try journey.target.succeed("sh", "-c", "echo \(tree.pid - 2) >/proc/sys/kernel/ns_last_pid")
                let other = try journey.target.start(["sleep", "1000"], output: "sleep")
                try #require(other == tree.pid, "the pid \(tree.pid) could not be taken")
            }
            try journey.target.succeed("sh", "-c", "echo 10000 >/proc/sys/kernel/ns_last_pid")
            let moved = try journey.migrate(operand(trees))
            #expect(moved.status == 1, "\(moved)")
            for tree in trees.dropFirst() {
                #expect(moved.errors.contains("tree of process \(tree.pid): on there:"), "\(moved)")
            }
            for tree in trees {
                #expect(journey.runs(tree.pid).here)
                #expect(tree.check() == [])
            }
        }
    }

    /// The link of the second is cut when the first has left.
    @Test(arguments: [[], ["--json"]])
    func oneFails(_ options: [String]) throws {
        try withJourney { journey in
            let frames = try framesOfOne(journey)
            let trees = try start(3, journey)
            // Each has a connection of its own: the second is cut in its last part.
            let script = try journey.linkWithCut(of: 2, after: frames - 3)
            let moved = try journey.migrate(operand(trees), options + ["--ssh-command", script])
            #expect(moved.status == 1, "\(moved)")
            #expect(journey.runs(trees[0].pid) == (false, true), "\(moved)")
            #expect(RunningSubject(trees[0], in: journey.target).check() == [])
            for tree in trees.dropFirst() {
                #expect(eventually { journey.runs(tree.pid) == (true, false) }, "\(moved)")
                #expect(tree.check() == [])
            }
            let pids = trees.map(\.pid)
            if options.isEmpty {
                #expect(
                    moved.output.contains("On there: \(pids[0]); here: \(pids[1]), \(pids[2])."), "\(moved)")
                #expect(moved.errors.contains("tree of process \(pids[1])"), "\(moved)")
            } else {
                #expect(
                    moved.output.contains(
                        "\"trees\":[{\"pid\":\(pids[0]),\"place\":\"there\"},{\"pid\":\(pids[1]),\"place\":\"here\"},"
                            + "{\"pid\":\(pids[2]),\"place\":\"here\"}]"), "\(moved)")
                #expect(moved.output.contains("\"ok\":false"), "\(moved)")
            }
        }
    }

    /// How many frames such a tree takes.
    private func framesOfOne(_ journey: Journey) throws -> Int {
        let one = try RunningSubject(Subject(name: "pipes"), in: journey.source)
        let moved = try journey.migrate(one.pid)
        try #require(moved.status == 0, "\(moved)")
        let frames = journey.frames.out
        try #require(frames > 10)
        journey.target.killAll()
        return frames
    }

    /// What hangs together has to be one tree.
    @Test func treesThatHangTogether() throws {
        try withJourney { journey in
            let parent = try RunningSubject(Subject(name: "tree"), in: journey.source)
            let child = try #require(journey.children(of: parent.pid).first)
            let nested = try journey.migrate("\(parent.pid),\(child)")
            #expect(
                nested.status == 1 && nested.errors.contains("trees-overlap")
                    && nested.errors.contains("process \(child) belongs to the tree of process \(parent.pid)"),
                "\(nested)")
            let twice = try journey.migrate("\(parent.pid),\(parent.pid)")
            #expect(twice.status == 1 && twice.errors.contains("named twice"), "\(twice)")
            // A pipe between them.
            let script = "sleep 1000 | sleep 1001 & wait"
            let shell = try journey.source.start(["sh", "-c", script], output: "out")
            #expect(eventually { journey.children(of: shell).count == 2 })
            let ends = journey.children(of: shell)
            let piped = try journey.migrate(ends.map { "\($0)" }.joined(separator: ","))
            #expect(piped.status == 1, "\(piped)")
            #expect(piped.errors.contains("pipe"), "\(piped)")
            for end in ends { #expect(piped.errors.contains("tree of process \(end): "), "\(piped)") }
            #expect(parent.check() == [])
            for end in ends { #expect(journey.runs(end).here) }
        }
    }

    @Test(arguments: [["--report", "/tmp/report.html"], ["--move-address", "192.0.2.7@eth0"]])
    func whatIsForOneTree(_ option: [String]) throws {
        try withWorld { world in
            let refused = try world.apus(["migrate", "2,3", "there", "--ssh-command", "false"] + option)
            #expect(refused.status == 1 && refused.errors.contains("is for one tree"), "\(refused)")
        }
    }

    @Test(arguments: ["2,", ",2", "2,x", "2,-3", "2,0", ","])
    func noSuchPids(_ operand: String) throws {
        try withWorld { world in
            let refused = try world.apus(["migrate", operand, "there", "--ssh-command", "false"])
            #expect(refused.status == 1 && refused.errors.contains("missing-option"), "\(refused)")
        }
    }
}
