import Glibc
import Testing

/// `apus run`: the same command line goes on after whatever has happened.
@Suite("Run", .enabled(if: geteuid() == 0, "needs root"), .serialized)
struct RunTests {
    /// Adds up, one line a number, in two processes, and ends.
    private static let script = """
        #!/bin/bash
        total=0
        for i in $(seq 1 $1); do total=$(expr $total + $i); echo $i $total; sleep 0.02; done
        echo done $total >> $2
        exit 7
        """

    private func arguments(_ world: World, count: Int, _ options: [String] = []) throws -> [String] {
        try write(Self.script + "\n", to: world.path("sum.sh"))
        return ["run", "--store", world.path("store")] + options
            + ["--", "bash", world.path("sum.sh"), "\(count)", world.path("result")]
    }

    /// A run that can be sent signals: its pid in the world stands in a file.
    private func start(_ world: World, _ arguments: [String]) throws -> (running: Running, pid: Int32) {
        let file = world.path("pid")
        _ = unsafe unlink(file)
        let running = try world.command(
            ["bash", "-c", "echo $$ > \(file); exec \"$@\"", "run", Place.apus] + arguments
        )
        .start()
        var pid: Int32?
        _ = eventually {
            pid = lines(file).first.flatMap { Int32($0) }
            return pid != nil
        }
        return (running, try #require(pid))
    }

    /// A run that is killed when so many checkpoints stand.
    private func runAndKill(_ world: World, _ arguments: [String], atCheckpoint number: Int) throws {
        let (running, pid) = try start(world, arguments)
        try #require(eventually(seconds: 20) { exists(world.path("store/checkpoint-\(number)/manifest.json")) })
        world.signal(SIGKILL, pid)
        _ = running.wait(seconds: 30)
    }

    private func check(_ world: World, count: Int) {
        #expect(text(world.path("result")) == "done \(count * (count + 1) / 2)\n")
        let expected = (1...count).map { "\($0) \($0 * ($0 + 1) / 2)" }
        #expect(lines(world.path("store/output.log")) == expected)
    }

    @Test func undisturbed() throws {
        try withWorld { world in
            let arguments = try arguments(world, count: 20)
            let first = try world.apus(arguments)
            #expect(first.status == 7 && first.output.hasSuffix("20 210\n"), "\(first)")
            check(world, count: 20)
            let again = try world.apus(arguments)
            #expect(again.status == 7 && again.errors.contains("finished already"), "\(again)")
            check(world, count: 20)
            let other = try world.apus(["run", "--store", world.path("store"), "--", "true"])
            #expect(other.status == 1 && other.errors.contains("store-unusable"), "\(other)")
        }
    }

    /// Its end is not to be lost without a word: the same command would run it again.
    @Test func theStoreIsFull() throws {
        try withWorld { world in
            try world.succeed("mkdir", world.path("small"))
            try world.succeed("mount", "-t", "tmpfs", "-o", "size=1m", "none", world.path("small"))
            let script = "dd if=/dev/zero of=\(world.path("small"))/fill bs=64k 2>/dev/null; exit 5"
            let store = world.path("small/store")
            let run = try world.apus(["run", "--store", store, "--", "bash", "-c", script])
            #expect(run.status == 5 && run.errors.contains("would start it anew"), "\(run)")
            let second = try world.apus(["run", "--store", world.path("small/other"), "--", "true"])
            #expect(second.status == 1 && second.errors.contains("store-unusable"), "\(second)")
        }
    }

    /// Whoever takes the manifests away does not take what was computed.
    @Test func checkpointsWithoutManifests() throws {
        try withWorld { world in
            let arguments = try arguments(world, count: 60, ["--every", "1s"])
            try runAndKill(world, arguments, atCheckpoint: 1)
            let before = lines(world.path("store/output.log")).count
            for name in names(in: world.path("store")) where name.hasPrefix("checkpoint-") {
                _ = unsafe unlink(world.path("store/\(name)/manifest.json"))
            }
            let again = try world.apus(arguments, seconds: 60)
            #expect(again.status == 7 && before > 0, "\(again)")
            check(world, count: 60)
            #expect(!again.output.contains("1 1\n2 3\n"), "it has begun anew: \(again)")
        }
    }

    /// With a store and without one.
    @Test func aProgramThatCannotBeStarted() throws {
        try withWorld { world in
            for options in [[], ["--store", world.path("store")]] {
                let run = try world.apus(["run"] + options + ["--", "/nonexistent"])
                #expect(run.status == 1 && run.errors.contains("program-unstartable"), "\(run)")
                #expect(run.errors.contains("/nonexistent") && run.errors.contains("$PATH"), "\(run)")
            }
            // What never ran does not have the store.
            let right = try world.apus(["run", "--store", world.path("store"), "--", "true"])
            #expect(right.status == 0, "\(right)")
        }
    }

    @Test func preempted() throws {
        try withWorld { world in
            let arguments = try arguments(world, count: 100)
            var rounds = 0
            while true {
                let (running, pid) = try start(world, arguments)
                let before = lines(world.path("store/output.log")).count
                _ = eventually(seconds: 20) {
                    lines(world.path("store/output.log")).count > before + 10 || !world.isAlive(pid)
                }
                rounds += 1
                world.signal(SIGTERM, pid)
                let finished = running.wait(seconds: 30)
                if finished.status == 7 { break }
                try #require(finished.status == 75, "\(finished)")
                #expect(finished.errors.contains("give the same command to go on"), "\(finished)")
                try #require(rounds < 100)
            }
            #expect(rounds > 1)
            check(world, count: 100)
        }
    }

    /// How often a run is killed: `APUS_TEST_KILLS`, or a few times.
    private static let kills = unsafe getenv("APUS_TEST_KILLS").flatMap { unsafe Int(String(cString: $0)) } ?? 8

    /// Killed at moments of chance, and right in the end.
    @Test(.timeLimit(.minutes(10))) func killedAgainAndAgain() throws {
        try withWorld { world in
            let count = 40 * Self.kills
            let arguments = try arguments(world, count: count, ["--every", "200ms"])
            for _ in 0..<Self.kills {
                let (running, pid) = try start(world, arguments)
                usleep(UInt32.random(in: 50_000...900_000))
                world.signal(SIGKILL, pid)
                _ = running.wait(seconds: 30)
            }
            #expect(!exists(world.path("store/finished")), "it was over before the last kill")
            let last = try world.apus(arguments, seconds: 300)
            #expect(last.status == 7, "\(last)")
            check(world, count: count)
        }
    }

    @Test func aDamagedCheckpointIsPassedOver() throws {
        try withWorld { world in
            let arguments = try arguments(world, count: 200, ["--every", "300ms"])
            try runAndKill(world, arguments, atCheckpoint: 3)
            let newest =
                names(in: world.path("store")).compactMap { $0.hasPrefix("checkpoint-") ? Int($0.dropFirst(11)) : nil }
                .max() ?? 0
            let whole = exists(world.path("store/checkpoint-\(newest)/manifest.json")) ? newest : newest - 1
            try write("damaged", to: world.path("store/checkpoint-\(whole)/pstree.img"))
            let last = try world.apus(arguments, seconds: 60)
            #expect(last.status == 7, "\(last)")
            #expect(last.errors.contains("checkpoint \(whole) can"), "\(last)")
            check(world, count: 200)
        }
    }

    /// One that could not be restored does not take the place of a good one.
    @Test func aDamagedCheckpointDoesNotCount() throws {
        try withWorld { world in
            let arguments = try arguments(world, count: 100, ["--keep", "2"])
            func checkpoints() -> [String] {
                names(in: world.path("store")).filter {
                    $0.hasPrefix("checkpoint-") && exists(world.path("store/\($0)/manifest.json"))
                }.sorted()
            }
            let (running, pid) = try start(world, arguments)
            try #require(eventually { lines(world.path("store/output.log")).count > 3 })
            for count in 1...2 {
                world.signal(SIGUSR1, pid)
                try #require(eventually { checkpoints().count == count })
            }
            world.signal(SIGKILL, pid)
            _ = running.wait(seconds: 30)
            try write("damaged", to: world.path("store/checkpoint-2/pstree.img"))
            let size = text(world.path("store/output.log")).utf8.count
            let (second, again) = try start(world, arguments)
            // It has been cut back, and the program goes on.
            try #require(eventually { text(world.path("store/output.log")).utf8.count < size })
            try #require(eventually { text(world.path("store/output.log")).utf8.count > size })
            for expected in [["checkpoint-1", "checkpoint-3"], ["checkpoint-3", "checkpoint-4"]] {
                world.signal(SIGUSR1, again)
                #expect(eventually { checkpoints() == expected }, "\(checkpoints())")
            }
            world.signal(SIGKILL, again)
            _ = second.wait(seconds: 30)
        }
    }

    /// What stands in the way of all checkpoints for a while takes nothing of the output, by which the program would go on with a gap.
    @Test func whatPassesLosesNothing() throws {
        try withWorld { world in
            let arguments = try arguments(world, count: 150, ["--every", "500ms"])
            try runAndKill(world, arguments, atCheckpoint: 3)
            let before = text(world.path("store/output.log"))
            // bash has its script open.
            try world.succeed("mv", world.path("sum.sh"), world.path("elsewhere"))
            let refused = try world.apus(arguments, seconds: 60)
            #expect(refused.status == 1 && refused.errors.contains("store-damaged"), "\(refused)")
            #expect(text(world.path("store/output.log")) == before)
            #expect(!names(in: world.path("store")).contains { $0.contains(".cut-") || $0.contains(".back-") })
            // Killed while it was put back.
            let (third, whole) = (before.utf8.count / 3, before.utf8.count)
            try write(String(before.utf8.prefix(whole - third)) ?? "", to: world.path("store/output.log"))
            try write(String(before.utf8.dropFirst(third)) ?? "", to: world.path("store/output.log.back-\(third)"))
            #expect(try world.apus(arguments, seconds: 60).status == 1)
            #expect(text(world.path("store/output.log")) == before)
            // Killed while it was cut back.
            let size = before.utf8.count / 2
            try write(String(before.utf8.prefix(size)) ?? "", to: world.path("store/output.log"))
            try write(String(before.utf8.dropFirst(size)) ?? "", to: world.path("store/output.log.cut-\(size)"))
            #expect(try world.apus(arguments, seconds: 60).status == 1)
            #expect(text(world.path("store/output.log")) == before)
            try world.succeed("mv", world.path("elsewhere"), world.path("sum.sh"))
            let last = try world.apus(arguments, seconds: 60)
            #expect(last.status == 7, "\(last)")
            check(world, count: 150)
            #expect(!names(in: world.path("store")).contains { $0.contains(".cut-") })
        }
    }

    /// A dump that is killed when its checkpoint stands has ended the program, or has not: nothing of it is lost.
    @Test func theDumpIsKilledInTheEnd() throws {
        try withWorld { world in
            try world.succeed("mkfifo", world.path("never"))
            let script = """
                exec 9<>$1
                for i in {1..40}; do echo $i; read -rt 0.05 -u 9; done
                echo done >> $2
                exit 7
                """
            try write(script + "\n", to: world.path("count.sh"))
            func run(_ store: String, _ environment: [String]) throws -> Finished {
                let arguments = [
                    "run", "--store", world.path(store), "--", "bash", world.path("count.sh"), world.path("never"),
                    world.path("\(store).result"),
                ]
                _ = unsafe unlink(world.path("pid"))
                let running = try world.command(
                    ["env"] + environment
                        + ["bash", "-c", "echo $$ > \(world.path("pid")); exec \"$@\"", "run", Place.apus] + arguments
                ).start()
                #expect(eventually { lines(world.path("\(store)/output.log")).count > 2 })
                if let pid = lines(world.path("pid")).first.flatMap({ Int32($0) }) { world.signal(SIGTERM, pid) }
                let first = running.wait(seconds: 30)
                if first.status != 7 {
                    #expect(try world.apus(arguments, seconds: 60).status == 7, "\(environment)")
                }
                #expect(text(world.path("\(store).result")) == "done\n", "\(environment): \(first)")
                #expect(lines(world.path("\(store)/output.log")) == (1...40).map(String.init), "\(environment)")
                return first
            }
            #expect(try run("whole", ["APUS_TEST_STEP_LOG=\(world.path("steps"))"]).status == 75)
            let steps = try #require(lines(world.path("steps")).first.flatMap { Int($0) })
            var stood = 0
            for step in steps - 5...steps {
                let run = try run("store-\(step)", ["APUS_TEST_KILL_AT_STEP=\(step)"])
                if run.errors.contains("when checkpoint 1 stood already") {
                    stood += 1
                    #expect(run.status == 75, "\(run)")
                }
            }
            #expect(stood > 0)
        }
    }

    /// One that is killed when the program goes on has not failed.
    @Test func theRestoreIsKilledInTheEnd() throws {
        try withWorld { world in
            let arguments = try arguments(world, count: 60)
            let (running, pid) = try start(world, arguments)
            #expect(eventually { lines(world.path("store/output.log")).count > 5 })
            world.signal(SIGTERM, pid)
            try #require(running.wait(seconds: 30).status == 75)
            try world.succeed("cp", "-a", world.path("store"), world.path("copy"))
            let copy = arguments.map { $0 == world.path("store") ? world.path("copy") : $0 }
            let counted = try world.command(
                ["env", "APUS_TEST_STEP_LOG=\(world.path("steps"))", Place.apus] + copy
            ).run(seconds: 60)
            #expect(counted.status == 7, "\(counted)")
            let steps = try #require(lines(world.path("steps")).first.flatMap { Int($0) })
            _ = unsafe unlink(world.path("result"))
            let last = try world.command(["env", "APUS_TEST_KILL_AT_STEP=\(steps)", Place.apus] + arguments)
                .run(seconds: 60)
            #expect(last.status == 7, "\(last)")
            #expect(last.errors.contains("and the program runs"), "\(last)")
            check(world, count: 60)
        }
    }

    // MARK: Without a store

    /// Started by `apus run` alone, a program is dumped and restored by whoever wants to.
    @Test func startedAndCarried() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let running = try world.command(
                ["bash", "-c", "exec \"$@\" >\(world.path(script.output)) 2>&1 </dev/null", "run", Place.apus, "run"]
                    + ["--cpu-level", "x86-64-v2", "--pidfile", world.path("pid"), "--", "bash", script.path]
            ).start()
            #expect(script.goesOn(in: world))
            let pid = try #require(lines(world.path("pid")).first.flatMap { Int32($0) })
            let stat = text("\(world.proc)/\(pid)/stat").split(separator: " ")
            // Group and session are its own.
            #expect(stat.count > 6 && stat[4] == "\(pid)" && stat[5] == "\(pid)", "\(stat)")
            #expect(text("\(world.proc)/\(pid)/environ").contains("GLIBC_TUNABLES=glibc.cpu.hwcaps=-"))
            try world.requireDump(pid, to: "images")
            #expect(running.wait(seconds: 20).status == 128 + Int(SIGKILL))
            try world.requireRestore("images")
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    @Test func itsStatusAndItsSignals() throws {
        try withWorld { world in
            for options in [[], ["--pid-namespace"]] {
                let run = { (script: String) in try world.apus(["run"] + options + ["--", "bash", "-c", script]) }
                #expect(try run("exit 5").status == 5)
                #expect(try run("kill -USR1 $$").status == 128 + Int(SIGUSR1))
                let (running, pid) = try start(
                    world,
                    ["run"] + options
                        + ["--", "bash", "-c", "trap 'exit 9' TERM; touch \(world.path("up")); sleep 60 & wait"])
                #expect(eventually { exists(world.path("up")) })
                world.signal(SIGTERM, pid)
                #expect(running.wait(seconds: 20).status == 9)
                _ = unsafe unlink(world.path("up"))
                let nothing = try world.apus(["run"] + options + ["--", world.path("nothing")])
                #expect(nothing.status == 1 && nothing.errors.contains("cannot be started"), "\(nothing)")
            }
            let missing = try world.apus(["run", "--every", "10m", "--", "true"])
            #expect(missing.status == 1 && missing.errors.contains("--store"), "\(missing)")
        }
    }

    /// In a pid namespace of its own its pids are the same wherever it comes back, and nothing of it outlives it.
    @Test func inANamespace() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let running = try world.command(
                ["bash", "-c", "exec \"$@\" >\(world.path(script.output)) 2>&1 </dev/null", "run", Place.apus, "run"]
                    + ["--pid-namespace", "--pidfile", world.path("pid"), "--", "bash", script.path]
            ).start()
            #expect(script.goesOn(in: world))
            let pid = try #require(lines(world.path("pid")).first.flatMap { Int32($0) })
            let numbers = text("\(world.proc)/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("NSpid:") }
            #expect(numbers?.hasSuffix("\t1000") == true, "\(numbers ?? "")")
            let dump = try world.command([
                "nsenter", "-t", "\(pid)", "-p", "-m", Place.apus, "dump", "-t", "1000", "--bundle",
                world.path("job.apus"),
            ]).run()
            try #require(dump.status == 0, "\(dump)")
            #expect(running.wait(seconds: 20).status == 128 + Int(SIGKILL))
            let restore = try world.apus(["restore", world.path("job.apus"), "-d", "--pid-policy", "new-namespace"])
            try #require(restore.status == 0, "\(restore)")
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
        }
    }

    /// The variants that the C library chooses with the level that `--cpu-level` names.
    @Test func theLevelOfTheProcessor() throws {
        try withWorld { world in
            let source = world.path("chosen.c")
            try write(
                """
                #include <stdio.h>
                #include <string.h>
                int main() {
                    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
                    printf("%016lx\\n", (unsigned long)copy);
                }

                """, to: source)
            try world.succeed("gcc", "-fno-builtin", "-static", "-o", world.path("chosen"), source)
            let run = try world.apus([
                "run", "--store", world.path("store"), "--cpu-level", "x86-64-v2", "--", world.path("chosen"),
            ])
            #expect(run.status == 0, "\(run)")
            let address = run.output.split(separator: "\n").first.map(String.init) ?? "?"
            let symbols = try world.succeed("nm", world.path("chosen"))
            let names = symbols.split(separator: "\n").filter { $0.hasPrefix(address) }
            #expect(names.contains { $0.contains("sse") || $0.contains("ssse3") }, "\(names)")
            #expect(!names.contains { $0.contains("avx") || $0.contains("evex") }, "\(names)")
        }
    }
}
