import CLinux
import Glibc
import Testing

/// A dump that cannot succeed says why, exits with 1, and leaves its target running as if nothing had happened.
@Suite("Failing dumps", .enabled(if: geteuid() == 0, "needs root"))
struct FailingDumpTests {
    @Test func theDiskIsFull() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "memory", arguments: ["FOLDER/mapped"]), in: world)
            let images = world.path("small")
            try world.succeed("mkdir", images)
            try world.succeed("mount", "-t", "tmpfs", "-o", "size=128k", "none", images)
            try expectFailure(of: running, images: images, naming: "No space left")
            try expectFailure(of: running, images: images, naming: "\(images)/pages-")
        }
    }

    /// The good old dump has gone for the room that the new one needed, and that is said.
    @Test(.enabled(if: Programs.has("python3"), "needs python3")) func anOlderDumpIsReplacedByNone() throws {
        try withWorld { world in
            let code = """
                import signal
                memory = []
                signal.signal(signal.SIGUSR1, lambda *_: (memory.append(bytearray(b'x') * (40 << 20)), print('grown', flush=True)))
                print('ready', flush=True)
                while True: signal.pause()
                """
            let pid = try world.start(["python3", "-c", code], output: "out")
            try #require(eventually { text(world.path("out")).contains("ready") })
            let images = world.path("small")
            try world.succeed("mkdir", images)
            try world.succeed("mount", "-t", "tmpfs", "-o", "size=30m", "none", images)
            let dump = ["dump", "-t", "\(pid)", "-D", images, "--shell-job", "--leave-running"]
            try #require(try world.apus(dump).status == 0)
            world.signal(SIGUSR1, pid)
            try #require(eventually { text(world.path("out")).contains("grown") })
            let second = try world.apus(dump)
            #expect(second.status == 1 && second.errors.contains("The older dump"), "\(second)")
            let third = try world.apus(dump)
            #expect(third.status == 1 && !third.errors.contains("The older dump"), "\(third)")
            #expect(try world.apus(["check", images]).output.contains("image-missing"))
            #expect(world.isAlive(pid))
        }
    }

    /// Pids are given again, and are the same in many namespaces: what may be all that there is of another program is not replaced.
    @Test func anOlderDumpOfAnotherProgram() throws {
        try withWorld { world in
            try withWorld { other in
                func start(_ world: World, _ arguments: [String]) throws -> Int32 {
                    try world.succeed("sh", "-c", "echo 4999 >/proc/sys/kernel/ns_last_pid")
                    return try world.start(arguments, output: "out-\(arguments[0])")
                }
                let first = try start(world, ["sleep", "1000"])
                // The kernel counts the starts of processes in hundredths of a second.
                usleep(30_000)
                let second = try start(other, ["sleep", "2000"])
                try #require(first == second)
                usleep(30_000)
                let images = world.path("images")
                try world.requireDump(first, to: "images")
                let before = try world.succeed("sh", "-c", "cd \(images) && cksum *.img manifest.json")
                func expectRefusal(of pid: Int32, in world: World, _ reason: String) throws {
                    let dump = try world.apus(["dump", "-t", "\(pid)", "-D", images])
                    #expect(dump.status == 1 && dump.errors.contains("image-exists"), "\(dump)")
                    #expect(dump.errors.contains(reason), "\(dump)")
                    #expect(try world.succeed("sh", "-c", "cd \(images) && cksum *.img manifest.json") == before)
                }
                try expectRefusal(of: second, in: other, "another process that had the pid \(first) (sleep)")
                other.signal(SIGKILL, second)
                // Of another name, whenever it was started.
                #expect(eventually { !other.isAlive(second) })
                var third = try start(other, ["tail", "-f", "/dev/null"])
                if third != first { third = try start(other, ["tail", "-f", "/dev/null"]) }
                try #require(third == first)
                try expectRefusal(of: third, in: other, "(sleep)")
                // The program itself goes on from there, and its dump is replaced.
                try world.requireRestore("images")
                try world.requireDump(first, to: "images")
                try world.requireRestore("images")
                #expect(world.isAlive(first))
            }
        }
    }

    @Test func anOlderDumpOfOneThatHasAnotherNameNow() throws {
        try withWorld { world in
            let script = "trap 'echo other >/proc/$$/comm; echo renamed' USR1; while :; do sleep 0.05; done"
            let pid = try world.start(["bash", "-c", script], output: "out")
            usleep(100_000)
            try world.requireDump(pid, to: "images", ["--leave-running"])
            world.signal(SIGUSR1, pid)
            try #require(eventually { text(world.path("out")).contains("renamed") })
            try world.requireDump(pid, to: "images", ["--leave-running"])
        }
    }

    /// Images of CRIU, which have no manifest, and those of a newer Apus.
    @Test(arguments: ["criu", "newer", "unreadable"])
    func anOlderDumpOfAnotherTool(_ kind: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let images = world.path("images")
            if kind == "criu" {
                try world.succeed("cp", "-r", Place.project + "/Tests/Fixtures/criu-4.2/count", images)
            } else {
                try world.succeed("mkdir", images)
                let leaving = ["dump", "-t", "\(running.pid)", "-D", images, "--leave-running"]
                try #require(try world.apus(leaving).status == 0)
                let manifest = text(images + "/manifest.json")
                let other =
                    kind == "newer"
                    ? manifest.replacing("\"format_version\": 1", with: "\"format_version\": 99") : "{"
                #expect(other != manifest)
                try write(other, to: images + "/manifest.json")
            }
            try expectFailure(of: running, images: images, naming: "image-exists")
            #expect(exists(images + "/inventory.img"))
        }
    }

    @Test func theDirectoryIsReadOnly() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let images = world.path("read-only")
            try world.succeed("mkdir", images)
            try world.succeed("mount", "-t", "tmpfs", "-o", "ro", "none", images)
            try expectFailure(of: running, images: images, naming: images)
        }
    }

    @Test func thereIsNoSuchDirectory() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try expectFailure(of: running, images: world.path("nowhere"), naming: world.path("nowhere"))
        }
    }

    @Test func theDirectoryIsAFile() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try write("not a directory", to: world.path("file"))
            try expectFailure(of: running, images: world.path("file"), naming: world.path("file"))
            #expect(text(world.path("file")) == "not a directory")
        }
    }

    @Test func thereIsNoSuchProcess() throws {
        try withWorld { world in
            let finished = try world.dump(4_000_000, to: "images")
            #expect(finished.status == 1)
            #expect(finished.errors.contains("4000000"), "\(finished)")
        }
    }

    /// Killed while it writes pages, it leaves files of their full size and no page in many of them: nobody may take them for a dump.
    /// (Images of CRIU have no manifest, so that its absence alone says nothing.)
    @Test(
        .enabled(if: Programs.has("python3"), "needs python3"), .timeLimit(.minutes(2)),
        arguments: ["MAP_SHARED", "MAP_PRIVATE"], ["--leave-stopped", "--leave-running"])
    func killedWhilePagesAreWritten(_ kind: String, _ option: String) throws {
        try withWorld { world in
            let code = """
                import mmap, time
                memory = mmap.mmap(-1, 300 << 20, flags=mmap.\(kind) | mmap.MAP_ANONYMOUS)
                for place in range(0, 300 << 20, 4096): memory[place] = 7
                print('ready', flush=True)
                time.sleep(1000)
                """
            let pid = try world.start(["python3", "-c", code], output: "out")
            try #require(eventually { text(world.path("out")).contains("ready") })
            let images = world.path("images")
            for attempt in 1...10 {
                try world.succeed("rm", "-rf", images)
                try world.succeed("mkdir", images)
                let dump = try world.command(
                    [Place.apus, "dump", "-t", "\(pid)", "-D", images, "--shell-job", option]
                ).start()
                func begun() -> Bool {
                    (1...3).contains { number in
                        var status = stat()
                        return unsafe stat(images + "/pages-\(number).img", &status) == 0 && status.st_blocks > 4096
                    }
                }
                while !begun() && !exists(images + "/manifest.json") { usleep(500) }
                for other in world.processes where text("\(world.proc)/\(other)/cmdline").contains("dump\0-t") {
                    world.signal(SIGKILL, other)
                }
                _ = dump.wait(seconds: 30)
                try #require(world.isAlive(pid))
                // It was quicker than the test.
                if exists(images + "/manifest.json") && attempt < 10 { continue }
                #expect(!exists(images + "/manifest.json"))
                break
            }
            let check = try world.apus(["check", images])
            #expect(check.status == 1 && check.output.contains("image-missing"), "\(check)")
            let restored = try world.apus(["restore", "-d", "-D", images, "--shell-job"])
            #expect(restored.status == 1 && restored.errors.contains("image-missing"), "\(restored)")
            #expect(restored.errors.contains("cut off before its end"), "\(restored)")
        }
    }

    /// The whole operation has its time; when that is up the target goes on.
    @Test func theTimeIsUp() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            let began = now()
            try expectFailure(
                of: running, images: images, naming: "time",
                options: ["--timeout", "1", "--action-script", "sleep 4"])
            #expect(now() - began < 4)
        }
    }

    /// What a script has started ends with it: nothing goes on working on a dump that was taken back.
    @Test func aScriptThatTakesTooLongEndsAsAWhole() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let (images, script) = (world.path("images"), world.path("script.sh"))
            try write("#!/bin/sh\n[ $CRTOOLS_SCRIPT_ACTION = post-dump ] || exit 0\nsleep 777\n", to: script)
            try world.succeed("chmod", "755", script)
            try world.succeed("mkdir", images)
            try expectFailure(
                of: running, images: images, naming: "--timeout",
                options: ["--timeout", "2", "--action-script", script])
            #expect(
                eventually { !world.processes.contains { text("\(world.proc)/\($0)/cmdline").contains("777") } })
        }
    }

    /// A script of the user that fails ends the dump.
    @Test func anActionScriptFails() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            try expectFailure(
                of: running, images: images, naming: "script", options: ["--action-script", "exit 3"])
        }
    }

    /// Kinds of objects that cannot be carried yet. One that can is moved from here to the subjects.
    static let unsupported =
        [
            "socket", "socket-outside", "socket-service", "socket-early", "userfaultfd", "linked", "linked-pipe",
            "deleted-root",
            "lock", "pidfd", "namespace", "namespace-open", "namespace-time", "proc-outside", "proc-mapping",
            "no-vdso", "semaphore-outside", "queue-notified", "traced",
        ] + (Place.hasThreadDescriptors ? ["pidfd-thread"] : [])

    /// Those of them that nothing tells of as long as the tree runs.
    static let foundAtTheFreeze = ["semaphore-outside"]

    @Test(arguments: unsupported)
    func anObjectThatCannotBeCarried(_ kind: String) throws {
        try withWorld { world in
            let subject = Subject(name: "unsupported", arguments: [kind, "FOLDER"])
            let running = try RunningSubject(subject, in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            try expectFailure(of: running, images: images, naming: "\(running.pid)")
        }
    }

    /// Sockets of kinds that are not carried are named by what they are.
    @Test(arguments: [
        ("extended-filter", "SO_ATTACH_BPF"),
        ("socket-elsewhere", "another network namespace than its process and Apus"),
    ])
    func aSocketThatCannotBeCarried(_ kind: String, _ named: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "unsupported", arguments: [kind, "FOLDER"]), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            try expectFailure(of: running, images: images, naming: named)
        }
    }

    /// States of TCP that no image can hold; and keys of signatures, which are refused with or without connections.
    @Test(arguments: [
        ("tcp-md5", "signs its segments (TCP-MD5)"), ("tcp-urgent", "urgent data of the TCP connection was not read"),
        ("tcp-zerocopy", "MSG_ZEROCOPY"),
    ])
    func aStateOfTCPThatCannotBeCarried(_ kind: String, _ named: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "unsupported", arguments: [kind, "FOLDER"]), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            try expectFailure(of: running, images: images, naming: named, options: ["--tcp-established"])
        }
    }

    /// Restrictions that nobody can read are not lost in silence, also where one thread alone has them.
    @Test(.enabled(if: hasLandlock, "this kernel has no Landlock"), arguments: ["", "-user", "-thread"])
    func aLandlockDomain(_ kind: String) throws {
        try withWorld { world in
            let running = try RunningSubject(
                Subject(name: "unsupported", arguments: ["landlock\(kind)", "FOLDER"]), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            try expectFailure(of: running, images: images, naming: "restricted by Landlock")
            #expect(names(in: images) == [], "something of the dump is left")
        }
    }

    /// Apus' code stands there for a moment, and reads there what such a key may deny it.
    @Test(.enabled(if: hasProtectionKeys, "needs a processor with protection keys"))
    func aVdsoWithAProtectionKey() throws {
        try withWorld { world in
            let running = try RunningSubject(
                Subject(name: "unsupported", arguments: ["vdso-key", "FOLDER"]), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            try expectFailure(of: running, images: images, naming: "vdso has protection key")
        }
    }

    @Test(.enabled(if: hasPorts, "this kernel gives no I/O ports to programs (ioperm)"))
    func portsThatAreGivenToTheProgram() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "unsupported", arguments: ["ports", "FOLDER"]), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            try expectFailure(of: running, images: images, naming: "I/O ports (ioperm(2))")
        }
    }

    /// ioperm(2): to give one up needs no right.
    static let hasPorts = apus_syscall(173, 0x80, 1, 0, 0, 0, 0) == 0

    static let hasProtectionKeys = text("/proc/cpuinfo").contains(" ospke")

    /// landlock_create_ruleset(2) tells its version.
    static let hasLandlock = apus_syscall(444, 0, 0, 1, 0, 0, 0) > 0

    /// A parent that waits for its vfork child does not stop before that child has gone: carried or refused, but whole.
    @Test func aParentThatWaitsForItsVforkChild() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "vfork", arguments: ["100"]), in: world)
            let finished = try world.dump(running.pid, to: "images", ["--timeout", "5"])
            #expect([0, 1].contains(finished.status), "\(finished)")
            if finished.status == 0 { try world.requireRestore("images") }
            for _ in 1...3 { #expect(running.check() == [], "\(finished)") }
        }
    }

    /// Only that child is let go: others, older ones that share the memory among them, stand still.
    @Test func aVforkParentThatHasOtherChildren() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "vfork", arguments: ["30", "others"]), in: world)
            for _ in 1...3 {
                let finished = try world.dump(running.pid, to: "images", ["--timeout", "5"])
                try #require(finished.status == 0, "\(finished)")
                try world.requireRestore("images")
                for _ in 1...3 { #expect(running.check() == []) }
            }
        }
    }

    @Test func aVforkChildThatStays() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "vfork", arguments: ["60000"]), in: world)
            let before = running.snapshot
            let finished = try world.dump(running.pid, to: "images", ["--timeout", "2"])
            #expect(finished.status == 1, "\(finished)")
            #expect(finished.seconds < 6)
            #expect(finished.errors.contains("\(running.pid)"), "\(finished)")
            #expect(running.changes(since: before) == [])
        }
    }

    /// A target of another user who may not trace it.
    @Test func withoutPermission() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", "-m", "0777", images)
            let program = try copyForEverybody(world)
            let finished = try world.command(
                ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program]
                    + ["dump", "-t", "\(running.pid)", "-D", images]
            ).run()
            #expect(finished.status == 1)
            #expect(finished.errors.lowercased().contains("error"), "\(finished)")
            #expect(running.check() == [])
        }
    }

    /// A tree without its terminal needs --shell-job, and says so.
    @Test func aJobOfATerminalWithoutTheOption() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "terminal", terminal: true), in: world)
            let images = world.path("images")
            try world.succeed("mkdir", images)
            try expectFailure(of: running, images: images, naming: "--shell-job")
        }
    }

    private func expectFailure(
        of running: RunningSubject, images: String, naming: String, options: [String] = []
    ) throws {
        let before = running.snapshot
        let finished = try running.world.apus(
            ["dump", "-t", "\(running.pid)", "-D", images, "-W", running.world.folder, "-o", "dump.log", "-v4"]
                + options)
        #expect(finished.status == 1, "\(finished)")
        #expect(
            finished.errors.lowercased().contains(naming.lowercased()), "the error does not name \(naming): \(finished)"
        )
        #expect(text(running.world.path("dump.log")).contains("Error"))
        #expect(running.changes(since: before) == [])
        #expect(running.check() == [])
    }
}

/// A copy of the program where other users can reach it.
func copyForEverybody(_ world: World) throws -> String {
    let copy = world.path("apus")
    try world.succeed("install", "-m", "0755", Place.apus, copy)
    return copy
}
