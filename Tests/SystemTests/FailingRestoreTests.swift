import Glibc
import Testing

/// A restore that cannot succeed names the object, exits with 1, and leaves no process and no file behind.
@Suite("Failing restores", .enabled(if: geteuid() == 0, "needs root"))
struct FailingRestoreTests {
    @Test func aPidIsInUse() throws {
        try withDump(of: "counter") { world, pid in
            // The next two pids go to the helper that starts it and to itself.
            try world.succeed("sh", "-c", "echo \(pid - 2) >/proc/sys/kernel/ns_last_pid")
            let taken = try world.start(["sleep", "1000"], output: "sleep.out")
            try #require(taken == pid)
            try expectFailure(world, naming: ["pid \(pid)"], left: [pid])
        }
    }

    /// A dump that writes where the restore reads.
    @Test func theImagesAreBeingWritten() throws {
        try withDump(of: "counter") { world, _ in
            let script = "exec 9<'\(world.path("images"))'; flock -x 9; exec sleep 1000"
            let writer = try world.start(["sh", "-c", script], output: "writer.out")
            try #require(eventually { world.isReleased(writer, named: "sleep") })
            try expectFailure(world, naming: ["image directory", world.path("images")], left: [writer])
        }
    }

    /// Of a directory without images the user learns that it may be the wrong one.
    @Test(arguments: ["empty", "file"])
    func nothingToRestore(_ kind: String) throws {
        try withWorld { world in
            let place = world.path(kind)
            if kind == "file" { try write("no images", to: place) } else { try world.succeed("mkdir", place) }
            let refused = try world.apus(["restore", "-D", place, "-W", world.folder])
            #expect(refused.status == 1)
            #expect(refused.errors.contains(place) && refused.errors.contains("--images-dir"), "\(refused)")
        }
    }

    @Test func aFileIsMissing() throws {
        try withDump(of: "files") { world, _ in
            try world.succeed("rm", world.path("files/shared"))
            try expectFailure(world, naming: [world.path("files/shared")])
        }
    }

    @Test func aFileHasAnotherSize() throws {
        try withDump(of: "files") { world, _ in
            try world.succeed("truncate", "-s", "+1", world.path("files/plain"))
            // What the program writes to may have grown, unless somebody says otherwise.
            try expectFailure(
                world, naming: [world.path("files/plain"), "1001 bytes"], options: ["--file", "*/plain=size"])
            try world.succeed("truncate", "-s", "10", world.path("files/plain"))
            try expectFailure(world, naming: [world.path("files/plain"), "10 bytes"])
        }
    }

    @Test func aMappedFileHasAnotherSize() throws {
        try withDump(of: "memory") { world, _ in
            try world.succeed("truncate", "-s", "4096", world.path("mapped"))
            try expectFailure(world, naming: [world.path("mapped"), "4096 bytes"])
        }
    }

    @Test func theWorkingDirectoryIsMissing() throws {
        try withDump(of: "attributes") { world, _ in
            try world.succeed("rmdir", world.path("directory"))
            try expectFailure(world, naming: [world.path("directory")])
        }
    }

    @Test func theProgramIsMissing() throws {
        try withWorld { world in
            let copy = world.path("program")
            try world.succeed("cp", Place.subject("counter"), copy)
            let pid = try world.start([copy], output: "out")
            #expect(eventually { lines(world.path("out")).contains("ready") })
            try world.requireDump(pid, to: "images")
            try world.succeed("rm", copy)
            try expectFailure(world, naming: [copy])
        }
    }

    /// Not the first of them only.
    @Test func severalProblemsAreToldTogether() throws {
        try withDump(of: "files") { world, _ in
            try world.succeed("rm", world.path("files/shared"))
            try world.succeed("truncate", "-s", "10", world.path("files/plain"))
            try expectFailure(world, naming: [world.path("files/shared"), world.path("files/plain")])
        }
    }

    /// Every image cut short at several places.
    @Test func anImageIsCutShort() throws {
        try withDump(of: "counter") { world, _ in
            let directory = world.path("images")
            for image in names(in: directory) where image.hasSuffix(".img") {
                let whole = try #require(bytes(at: "\(directory)/\(image)"))
                for size in [0, 3, whole.count / 2, whole.count - 1] where size < whole.count {
                    try write(Array(whole[..<size]), to: "\(directory)/\(image)")
                    try expectFailure(world, naming: [], "\(image) cut to \(size) of \(whole.count) bytes")
                }
                try write(whole, to: "\(directory)/\(image)")
            }
            try world.requireRestore("images")
        }
    }

    /// Bytes of an image changed at random must never bring the program down, nor leave anything.
    @Test func anImageIsDamaged() throws {
        try withDump(of: "counter") { world, pid in
            let directory = world.path("images")
            for image in names(in: directory) where image.hasSuffix(".img") && !image.hasPrefix("pages") {
                let whole = try #require(bytes(at: "\(directory)/\(image)"))
                for _ in 1...4 {
                    var damaged = whole
                    damaged[Int.random(in: 0..<whole.count)] ^= UInt8.random(in: 1...255)
                    try write(damaged, to: "\(directory)/\(image)")
                    let finished = try world.restore("images")
                    #expect([0, 1].contains(finished.status), "\(image): \(finished)")
                    if finished.status == 0 { world.killAll() }
                    #expect(eventually(seconds: 1) { world.processes.isEmpty }, "\(image): \(world.processes)")
                    world.killAll()
                }
                try write(whole, to: "\(directory)/\(image)")
            }
            #expect(!world.isAlive(pid))
        }
    }

    @Test(arguments: ["inventory.img", "pstree.img"])
    func anImageIsMissing(_ image: String) throws {
        try withDump(of: "counter") { world, _ in
            try world.succeed("rm", world.path("images/\(image)"))
            try expectFailure(world, naming: [image])
        }
    }

    @Test func aCoreImageIsMissing() throws {
        try withDump(of: "tree") { world, pid in
            try world.succeed("rm", world.path("images/core-\(pid + 1).img"))
            try expectFailure(world, naming: ["core-\(pid + 1).img"])
        }
    }

    /// Images of CRIU have no manifest; Apus' own that have none any more are known, and nobody vouches for them.
    @Test func theManifestIsLost() throws {
        try withDump(of: "counter") { world, _ in
            try world.succeed("rm", world.path("images/manifest.json"))
            let check = try world.apus(["check", world.path("images")])
            #expect(check.status == 0 && check.output.contains("has lost its manifest"), "\(check)")
            let restored = try world.apus(["restore", "-d", "-D", world.path("images")])
            #expect(restored.status == 0 && restored.errors.contains("has lost its manifest"), "\(restored)")
        }
    }

    /// The architecture is the first field of a core image, after the two magic numbers and the length: 1 is x86-64.
    @Test func anotherArchitecture() throws {
        try withDump(of: "counter") { world, pid in
            let image = world.path("images/core-\(pid).img")
            var core = try #require(bytes(at: image))
            try #require(core[12] == 0x08 && core[13] == 1)
            core[13] = 3
            try write(core, to: image)
            // With the manifest it would be damage and nothing else.
            try world.succeed("rm", world.path("images/manifest.json"))
            try expectFailure(world, naming: ["architecture"])
        }
    }

    @Test func thereIsNoSuchDirectory() throws {
        try withWorld { world in
            try expectFailure(world, naming: [world.path("images")])
        }
    }

    @Test func withoutPermission() throws {
        try withDump(of: "counter") { world, _ in
            let program = try copyForEverybody(world)
            try world.succeed("chmod", "-R", "a+rwX", world.path("images"))
            let finished = try world.command(
                ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program]
                    + ["restore", "-D", world.path("images"), "-d"]
            ).run()
            #expect(finished.status == 1)
            #expect(finished.errors.lowercased().contains("error"), "\(finished)")
            #expect(world.processes == [])
        }
    }

    /// A job of a terminal is restored where there is none.
    @Test func noTerminal() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "terminal", terminal: true), in: world)
            try world.requireDump(running.pid, to: "images", ["--shell-job"])
            #expect(eventually { world.processes.isEmpty })
            try expectFailure(world, naming: ["terminal"], options: ["--shell-job"])
        }
    }

    /// In a namespace, too, what was made is taken back, and that is said: the whole is not simply killed.
    @Test(arguments: [[], ["--pid-policy", "new-namespace"]]) func itIsInterrupted(_ options: [String]) throws {
        try withWorld { world in
            let pid = try world.start(["sleep", "1000"], output: "out")
            try world.requireDump(pid, to: "images")
            let arguments = [
                "restore", "-D", world.path("images"), "-d", "--pidfile", world.path("root.pid"), "--action-script",
                "case $CRTOOLS_SCRIPT_ACTION in pre-resume) touch \(world.path("waits")); sleep 5;; esac",
            ]
            let running = try world.command(
                ["bash", "-c", "echo $$ >\(world.path("pid")); exec \"$@\"", "restore", Place.apus] + arguments
                    + options
            ).start()
            try #require(eventually { exists(world.path("waits")) })
            #expect(exists(world.path("root.pid")), "it is written before, and this test asks nothing")
            let apus = try #require(lines(world.path("pid")).first.flatMap { Int32($0) })
            // As Ctrl-C does not, to one of the two alone.
            world.signal(SIGTERM, apus)
            let finished = running.wait(seconds: 20)
            #expect(finished.status == 1 && finished.errors.contains("interrupted"), "\(finished)")
            #expect(!exists(world.path("root.pid")), "\(finished)")
            #expect(!world.isAlive(pid))
        }
    }

    @Test func anActionScriptFails() throws {
        try withDump(of: "tree") { world, _ in
            try expectFailure(world, naming: ["script"], options: ["--action-script", "exit 3"])
        }
    }

    private func withDump(of name: String, _ body: (World, Int32) throws -> Void) throws {
        try withWorld { world in
            let subject = try #require(Subject.all.first { $0.name == name })
            let running = try RunningSubject(subject, in: world)
            try world.requireDump(running.pid, to: "images")
            #expect(eventually { world.processes.isEmpty })
            try body(world, running.pid)
        }
    }

    private func expectFailure(
        _ world: World, naming: [String], left: [Int32] = [], options: [String] = [], _ comment: String = ""
    ) throws {
        let files = listing(world.folder).filter { !$0.contains(".log ") && !$0.contains("stats-") }
        let finished = try world.restore("images", options)
        #expect(finished.status == 1, "\(comment) \(finished)")
        #expect(finished.errors.lowercased().contains("error"), "\(comment) \(finished)")
        for name in naming {
            #expect(
                finished.errors.lowercased().contains(name.lowercased()), "the error does not name \(name): \(finished)"
            )
        }
        #expect(eventually(seconds: 1) { world.processes == left }, "left behind: \(world.processes) \(comment)")
        let after = listing(world.folder).filter { !$0.contains(".log ") && !$0.contains("stats-") }
        #expect(after == files, "\(comment)")
    }
}
