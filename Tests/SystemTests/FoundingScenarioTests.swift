import Glibc
import Testing

/// A shell script that counts is dumped, its images are carried elsewhere, and the count goes on.
@Suite("Founding scenario", .enabled(if: geteuid() == 0, "needs root"))
struct FoundingScenarioTests {
    @Test func detachedWithAnOutputFile() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            try world.requireDump(pid, to: "images")
            #expect(eventually(seconds: 1) { world.processes.isEmpty })
            let dumped = script.numbers(in: world).count
            usleep(200_000)
            #expect(script.numbers(in: world).count == dumped, "something still counts")
            try world.requireRestore("images")
            #expect(script.goesOn(in: world))
            #expect(world.isReleased(pid, named: "bash"))
            #expect(script.mistakes(in: world) == [])
        }
    }

    /// In a terminal, carried as a tar file into another directory, restored into another terminal; Ctrl-C ends it.
    @Test func inATerminal() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let job = try world.job(["bash", script.path], output: script.output)
            let pid = try #require(job.pid)
            #expect(script.goesOn(in: world))
            try world.requireDump(pid, to: "images", ["--shell-job"])
            #expect(eventually { job.status == 128 + Int(SIGKILL) })
            try carry(world, "images", to: "elsewhere")

            let restored = try world.job(
                [Place.apus, "restore", "-D", world.path("elsewhere/images"), "--shell-job", "-o", "restore.log"],
                output: script.output)
            #expect(script.goesOn(in: world), "\(world.log("elsewhere/images", "restore"))")
            #expect(script.mistakes(in: world) == [])
            restored.type([3])
            #expect(eventually { restored.status == 128 + Int(SIGINT) }, "status \(restored.status ?? -1)")
            #expect(eventually { world.processes.isEmpty })
        }
    }

    /// The restored tree ends by itself: its exit status becomes that of the restore.
    @Test func theExitStatusIsPassedOn() throws {
        try withWorld { world in
            try write("read line; exit 37\n", to: world.path("script.sh"))
            let job = try world.job(["bash", world.path("script.sh")], output: "out")
            let pid = try #require(job.pid)
            usleep(100_000)
            try world.requireDump(pid, to: "images", ["--shell-job"])
            let restored = try world.job(
                [Place.apus, "restore", "-D", world.path("images"), "--shell-job", "-o", "restore.log"], output: "out")
            #expect(eventually { world.isReleased(pid, named: "bash") })
            restored.type(Array("a line\n".utf8))
            #expect(eventually { restored.status == 37 }, "status \(restored.status ?? -1)")
        }
    }

    /// While Apus waits for the tree, it holds nothing of it: who reads a pipe sees its end when all writers have gone.
    @Test func thePipesOfAJobEnd() throws {
        try withWorld { world in
            try write("x=$(sleep 1; echo hello); echo got $x; exit 5\n", to: world.path("script.sh"))
            let job = try world.job(["bash", world.path("script.sh")], output: "out")
            let pid = try #require(job.pid)
            usleep(300_000)
            try world.requireDump(pid, to: "images", ["--shell-job"])
            let restored = try world.job(
                [Place.apus, "restore", "-D", world.path("images"), "--shell-job", "-o", "restore.log"], output: "out")
            #expect(eventually { restored.status == 5 }, "status \(restored.status ?? -1)")
            #expect(text(world.path("out")).contains("got hello"))
        }
    }

    @Test func leaveRunning() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            try world.requireDump(pid, to: "images", ["--leave-running"])
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    @Test func leaveStopped() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            try world.requireDump(pid, to: "images", ["--leave-stopped"])
            let dumped = script.numbers(in: world).count
            let tree = ProcessSnapshot.tree(world.proc, pid)
            for task in tree {
                let status = "\(world.proc)/\(task)/status"
                // One that had ended already cannot be stopped.
                #expect(
                    eventually(seconds: 1) { ["T (stopped)", "Z (zombie)"].contains(where: text(status).contains) },
                    "\(text(status))")
            }
            usleep(200_000)
            #expect(script.numbers(in: world).count == dumped, "it counts although it is stopped")

            for task in tree { world.signal(SIGCONT, task) }
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    @Test func restoredStopped() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            try world.requireDump(pid, to: "images")
            let dumped = script.numbers(in: world).count
            try world.requireRestore("images", ["--leave-stopped"])
            #expect(text("\(world.proc)/\(pid)/status").contains("State:\tT (stopped)"))
            #expect(script.numbers(in: world).count == dumped)
            for task in ProcessSnapshot.tree(world.proc, pid) { world.signal(SIGCONT, task) }
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    @Test func aPipeline() throws {
        try withWorld { world in
            try write(
                "seq 0 1000000 | while read n; do echo $n; sleep 0.02; done\n", to: world.path("pipeline.sh"))
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", world.path("pipeline.sh")], output: script.output)
            #expect(script.goesOn(in: world))
            for round in 1...3 {
                try world.requireDump(pid, to: "images-\(round)")
                #expect(eventually(seconds: 1) { world.processes.isEmpty })
                try world.requireRestore("images-\(round)")
                #expect(script.goesOn(in: world))
            }
            #expect(script.mistakes(in: world) == [])
        }
    }

    @Test func severalGenerations() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            try write("bash -c 'bash -c \"bash \(script.path); true\"; true'; true\n", to: world.path("outer.sh"))
            let pid = try world.start(["bash", world.path("outer.sh")], output: script.output)
            #expect(script.goesOn(in: world))
            #expect(ProcessSnapshot.tree(world.proc, pid).count >= 4)
            for round in 1...3 {
                try world.requireDump(pid, to: "images-\(round)")
                #expect(eventually(seconds: 1) { world.processes.isEmpty })
                try world.requireRestore("images-\(round)")
                #expect(script.goesOn(in: world))
            }
            #expect(ProcessSnapshot.tree(world.proc, pid).count >= 4)
            #expect(script.mistakes(in: world) == [])
        }
    }

    /// A script that does nothing but fork and exec is caught wherever it happens to be.
    @Test func caughtAtAnyMoment() throws {
        try withWorld { world in
            let script = try CountingScript(in: world, pause: nil)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            for round in 1...40 {
                usleep(UInt32.random(in: 0..<15_000))
                try world.requireDump(pid, to: "images-\(round)")
                #expect(eventually(seconds: 1) { world.processes.isEmpty }, "round \(round)")
                try world.requireRestore("images-\(round)")
            }
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    /// The original of a dump with `--leave-running`, many times at random moments, never notices.
    @Test func leftRunningAtAnyMoment() throws {
        try withWorld { world in
            let script = try CountingScript(in: world, pause: nil)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            for round in 1...40 {
                usleep(UInt32.random(in: 0..<15_000))
                try world.requireDump(pid, to: "images-\(round)", ["--leave-running"])
            }
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    /// Without any namespace of its own, where a user would begin.
    @Test func onTheHostItself() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let output = world.path(script.output)
            let starter = Command(["sh", "-c", "setsid bash \(script.path) </dev/null >\(output) 2>&1 & echo $!"])
            let started = try starter.run().output.dropLast()
            let pid = try #require(Int32(started))
            defer { for task in ProcessSnapshot.tree("/proc", pid) { kill(task, SIGKILL) } }
            #expect(script.goesOn(in: world))
            let images = world.path("images")
            _ = unsafe mkdir(images, 0o755)
            let dump = try Command([Place.apus, "dump", "-t", "\(pid)", "-D", images, "-o", "dump.log", "-v4"]).run()
            try #require(dump.status == 0, "\(dump)")
            // It stays a zombie until the init of the host waits for it.
            #expect(!exists("/proc/\(pid)") || text("/proc/\(pid)/status").contains("State:\tZ"))
            let restore = try Command([Place.apus, "restore", "-D", images, "-d", "-o", "restore.log", "-v4"]).run()
            try #require(restore.status == 0, "\(restore)")
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    private func carry(_ world: World, _ images: String, to folder: String) throws {
        _ = unsafe mkdir(world.path(folder), 0o755)
        let tar = "cd '\(world.folder)' && tar -cf - \(images) | tar -C \(folder) -xf - && rm -r \(images)"
        try world.succeed("sh", "-c", tar)
    }
}
