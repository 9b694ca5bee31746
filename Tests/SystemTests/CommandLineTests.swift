import Glibc
import Testing

/// The command line as scripts and programs use it, on real processes.
@Suite("Command line", .enabled(if: geteuid() == 0, "needs root"))
struct CommandLineTests {
    @Test(arguments: ["-V", "--version"])
    func version(_ option: String) throws {
        let finished = try Command([Place.apus, option]).run()
        #expect(finished.status == 0)
        #expect(finished.output.contains("Version:"), "\(finished)")
    }

    /// The log is relative to the work directory, or else to the images, and exists after every run.
    @Test func theLogFile() throws {
        try withCounter { world, pid in
            let images = world.path("images")
            let work = world.path("work")
            try world.succeed("mkdir", images, work)
            let common = ["dump", "-t", "\(pid)", "-D", images, "--leave-running", "-v4"]
            #expect(try world.apus(common + ["-o", "in-images.log"]).status == 0)
            #expect(exists("\(images)/in-images.log"))
            #expect(try world.apus(common + ["-W", work, "--log-file=in-work.log"]).status == 0)
            #expect(exists("\(work)/in-work.log"))
            #expect(try world.apus(common + ["-W", work]).status == 0)
            #expect(try world.apus(["dump", "-t", "4000000", "-D", images, "-o", "failed.log"]).status == 1)
            #expect(text("\(images)/failed.log").contains("Error"))
        }
    }

    /// Short options bundled and with their values attached, abbreviations, `=`, and the odd spellings of clients.
    @Test func spellings() throws {
        try withCounter { world, pid in
            let images = world.path("images")
            try world.succeed("mkdir", images)
            for options in [
                ["-t\(pid)", "-D\(images)", "-R", "-vvvv", "-ojoined.log"],
                ["--tree=\(pid)", "--images-dir=\(images)", "--leave-run", "--verb=4", "--log-file=long.log"],
                ["-Rv4", "-t", "\(pid)", "-D", images], ["-verbosity=0", "-R", "-t", "\(pid)", "-D", images],
            ] {
                let finished = try world.apus(["dump"] + options)
                #expect(finished.status == 0, "\(options): \(finished)")
            }
            #expect(exists("\(images)/joined.log") && exists("\(images)/long.log"))
        }
    }

    @Test(arguments: [
        ["dump", "--no-such-option"], ["dump", "--tree"], ["dump", "-t", "x", "-D", "/tmp"], ["no-such-verb"], ["dump"],
    ])
    func mistakes(_ arguments: [String]) throws {
        let finished = try Command([Place.apus] + arguments).run()
        #expect(finished.status == 1, "\(finished)")
        #expect(!finished.errors.isEmpty)
    }

    /// An option that is not built says so; it is never ignored.
    @Test(arguments: [["--track-mem"], ["--lazy-pages"], ["--freeze-cgroup", "/x"]])
    func optionsNotBuiltYet(_ options: [String]) throws {
        try withCounter { world, pid in
            let finished = try world.dump(pid, to: "images", ["-R"] + options)
            #expect(finished.status == 1, "\(options) was taken: \(finished)")
            #expect(finished.errors.contains(String(options[0].dropFirst(2))), "\(finished)")
            #expect(world.isAlive(pid))
        }
    }

    @Test func thePidFile() throws {
        try withCounter { world, pid in
            try world.requireDump(pid, to: "images")
            try world.requireRestore("images", ["--pidfile", "pid"])
            #expect(text(world.path("images/pid")).split(separator: "\n").first.flatMap { Int32($0) } == pid)
        }
    }

    /// A byte on the status descriptor says that the tool is ready, and then the end comes.
    @Test func theStatusDescriptor() throws {
        try withCounter { world, pid in
            let images = world.path("images")
            try world.succeed("mkdir", images)
            let script = """
                exec 7>\(world.path("status"))
                \(Place.apus) dump -R -t \(pid) -D \(images) --status-fd 7
                """
            let finished = try world.command(["sh", "-c", script]).run()
            #expect(finished.status == 0, "\(finished)")
            #expect(bytes(at: world.path("status")) == [0])
        }
    }

    /// The stages of a dump and of a restore, in their order.
    @Test func actionScripts() throws {
        try withCounter { world, pid in
            let trace = world.path("trace")
            try write(
                "#!/bin/sh\necho $CRTOOLS_SCRIPT_ACTION $CRTOOLS_IMAGE_DIR $CRTOOLS_INIT_PID >>\(trace)\n",
                to: world.path("action.sh"), mode: 0o755)
            try world.requireDump(pid, to: "images", ["--action-script", world.path("action.sh")])
            let dump = lines(trace).map { $0.split(separator: " ")[0] }
            #expect(dump.first == "pre-dump" && dump.contains("post-dump"), "\(dump)")
            #expect(lines(trace).allSatisfy { $0.contains(world.path("images")) })
            try world.succeed("rm", trace)
            try world.requireRestore("images", ["--action-script", world.path("action.sh")])
            let restore = lines(trace).map { $0.split(separator: " ")[0] }
            let wanted: [Substring] = ["pre-restore", "post-restore", "pre-resume", "post-resume"]
            #expect(restore.filter { wanted.contains($0) } == wanted, "\(restore)")
            #expect(lines(trace).contains { $0.hasPrefix("post-restore") && $0.hasSuffix(" \(pid)") })
        }
    }

    /// The program takes the place of Apus and is the parent of what was restored.
    @Test func execCommand() throws {
        try withCounter { world, pid in
            try world.requireDump(pid, to: "images")
            let script = "grep PPid /proc/\(pid)/status; echo $$; kill -9 \(pid); wait"
            let finished = try world.apus(
                ["restore", "-D", world.path("images"), "-d", "--exec-cmd", "--", "sh", "-c", script])
            #expect(finished.status == 0, "\(finished)")
            let said = finished.output.split(separator: "\n")
            #expect(said.count == 2 && said[0] == "PPid:\t\(said[1])", "\(finished)")
        }
    }

    /// The root becomes a child of whoever called Apus.
    @Test func restoreSibling() throws {
        try withCounter { world, pid in
            try world.requireDump(pid, to: "images")
            let restore = "\(Place.apus) restore -D \(world.path("images")) -d --restore-sibling"
            let script = "\(restore); status=$?; grep PPid /proc/\(pid)/status; echo $$; exit $status"
            let finished = try world.command(["bash", "-c", script]).run()
            #expect(finished.status == 0, "\(finished)")
            let said = finished.output.split(separator: "\n")
            #expect(said.count == 2 && said[0] == "PPid:\t\(said[1])", "\(finished)")
        }
    }

    /// A helper that begins the session of such a root could be nobody's child but the caller's.
    @Test func restoreSiblingOfADaemonWhoseSessionHasNoLeader() throws {
        try withWorld { world in
            let script = "setsid sh -c '(sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > \(world.path("pid")))'"
            try world.succeed("sh", "-c", script)
            try #require(eventually { !text(world.path("pid")).isEmpty })
            let pid = try #require(Int32(text(world.path("pid")).dropLast()))
            try world.requireDump(pid, to: "images")
            let finished = try world.restore("images", ["--restore-sibling"])
            #expect(finished.status == 1 && finished.errors.contains("error[session-outside]"), "\(finished)")
            #expect(finished.errors.contains("--restore-sibling") && world.processes == [])
            try world.requireRestore("images")
            #expect(world.processes == [pid])
        }
    }

    /// Options may stand in a file; those of the command line come on top.
    @Test func configurationFile() throws {
        try withCounter { world, pid in
            try world.succeed("mkdir", world.path("images"))
            let file = world.path("apus.conf")
            try write("# a comment\nleave-running\nlog-file from-the-file.log # another\nverbosity 4\n", to: file)
            let finished = try world.apus(["dump", "-t", "\(pid)", "-D", world.path("images"), "--config", file])
            #expect(finished.status == 0, "\(finished)")
            #expect(world.isAlive(pid))
            #expect(exists(world.path("images/from-the-file.log")))
        }
    }

    @Test func statistics() throws {
        try withCounter { world, pid in
            try world.requireDump(pid, to: "images")
            #expect(exists(world.path("images/stats-dump")))
            let finished = try world.restore("images", ["--display-stats"])
            #expect(finished.status == 0 && !finished.output.isEmpty, "\(finished)")
            #expect(exists(world.path("images/stats-restore")))
        }
    }

    /// A file of the tree that the caller of the restore puts another in place of.
    @Test func aFileThatIsInherited() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            try world.requireDump(pid, to: "images")
            let name = world.path(script.output).dropFirst()
            let restore =
                "exec 8>>\(world.path("new.out")); "
                + "\(Place.apus) restore -d -D \(world.path("images")) -o restore.log --inherit-fd 'fd[8]:\(name)'"
            let finished = try world.command(["sh", "-c", restore]).run()
            #expect(finished.status == 0, "\(finished)\n\(world.log("images", "restore"))")
            #expect(eventually { lines(world.path("new.out")).count >= 3 })
        }
    }

    @Test func check() throws {
        try withWorld { world in
            let finished = try world.apus(["check"])
            #expect(finished.status == 0, "\(finished)")
            #expect(finished.output.contains("Looks good"), "\(finished)")
        }
    }

    private func withCounter(_ body: (World, Int32) throws -> Void) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try body(world, running.pid)
        }
    }
}
