import Glibc
import Testing

/// Dumps into one file or into a pipe, and restores from there.
@Suite("Bundles", .enabled(if: geteuid() == 0, "needs root"), .serialized)
struct BundleTests {
    private func start(_ world: World) throws -> (script: CountingScript, pid: Int32) {
        let script = try CountingScript(in: world)
        let pid = try world.start(["bash", script.path], output: script.output)
        #expect(eventually { script.numbers(in: world).count > 2 })
        return (script, pid)
    }

    private func apus(_ world: World, _ arguments: [String], environment: [String: String] = [:]) throws -> Finished {
        try world.apus(arguments, environment: environment.merging(["TMPDIR": world.folder]) { $1 })
    }

    /// What runs that were killed may leave, and no others.
    private func left(_ world: World) -> [String] { names(in: world.folder).filter { $0.hasSuffix(".tmp") } }

    private func requireGoingOn(_ script: CountingScript, _ world: World) {
        #expect(script.goesOn(in: world))
        #expect(script.mistakes(in: world) == [])
        #expect(left(world) == [])
    }

    @Test(arguments: ["none", "lz4", "zstd", "zstd:9"])
    func aFile(_ compression: String) throws {
        try withWorld { world in
            let (script, pid) = try start(world)
            let bundle = world.path("job.apus")
            let dump = try apus(world, ["dump", "-t", "\(pid)", "-o", bundle, "--compress", compression])
            try #require(dump.status == 0, "\(dump)")
            #expect(eventually { !world.isAlive(pid) })
            let show = try apus(world, ["show", bundle])
            #expect(show.status == 0 && show.output.contains("bash"), "\(show)")
            let one = try apus(world, ["show", bundle + "/pstree.img"])
            #expect(one.status == 0 && one.output.contains("PSTREE"), "\(one)")
            let check = try apus(world, ["check", bundle])
            #expect(check.status == 0 && check.output.contains(bundle), "\(check)")
            let restore = try apus(world, ["restore", bundle, "-d"])
            try #require(restore.status == 0, "\(restore)")
            let taken = try apus(world, ["check", bundle])
            #expect(taken.status == 1 && taken.output.contains("\(pid)"), "\(taken)")
            requireGoingOn(script, world)
        }
    }

    /// The manifest of a bundle has the digests of large images, too, and tar, sha256sum and xxh128sum agree.
    @Test(.enabled(if: Programs.has("xxh128sum"), "needs xxh128sum"))
    func itsManifestIsWhole() throws {
        try withWorld { world in
            let script = "x=$(head -c 3000000 /dev/urandom | base64 -w 0); while sleep 0.05; do echo ${#x}; done"
            let pid = try world.start(["bash", "-c", script], output: "out")
            #expect(eventually { lines(world.path("out")).count > 1 })
            let (bundle, images) = (world.path("job.apus"), world.path("images"))
            let dump = try apus(world, ["dump", "-t", "\(pid)", "--bundle", bundle, "--compress", "none"])
            try #require(dump.status == 0, "\(dump)")
            try world.succeed("mkdir", images)
            try world.succeed("tar", "-xf", bundle, "-C", images)
            try world.succeed("bash", "-c", "cd \(images) && sha256sum -c --quiet SHA256SUMS")
            let manifest = text(images + "/manifest.json")
            for name in names(in: images) where name.hasSuffix(".img") && !name.hasPrefix("stats-") {
                let digest = try world.succeed("xxh128sum", "\(images)/\(name)").prefix(32)
                #expect(manifest.contains(digest), "\(name): \(manifest)")
            }
            try world.requireRestore("images")
            #expect(eventually { lines(world.path("out")).count > 5 })
        }
    }

    @Test func aPipe() throws {
        try withWorld { world in
            let (script, pid) = try start(world)
            var command = world.command([
                "bash", "-c", "set -o pipefail; $APUS dump -t \(pid) -o - | $APUS restore - -d",
            ])
            command.environment = ["APUS": Place.apus, "TMPDIR": world.folder]
            let finished = try command.run()
            try #require(finished.status == 0, "\(finished)")
            requireGoingOn(script, world)
        }
    }

    /// A directory that was removed while somebody stands in it takes no files, and says so for ever.
    @Test func aPlaceThatIsGone() throws {
        try withWorld { world in
            let (script, pid) = try start(world)
            let run = try world.command([
                "bash", "-c",
                "mkdir \(world.path("gone")); cd \(world.path("gone")); rmdir \(world.path("gone")); exec \(Place.apus) dump -t \(pid) -o x.apus",
            ]).run(seconds: 20)
            #expect(run.status == 1 && run.errors.contains("bundle-unwritable"), "\(run)")
            requireGoingOn(script, world)
        }
    }

    /// Whatever goes wrong before the end, the original runs on, and there is no bundle.
    @Test func failures() throws {
        try withWorld { world in
            let (script, pid) = try start(world)
            let bundle = world.path("job.apus")
            try write("#!/bin/sh\n[ \"$CRTOOLS_SCRIPT_ACTION\" != post-dump ]\n", to: world.path("no.sh"))
            try world.succeed("chmod", "+x", world.path("no.sh"))
            try world.succeed("mkdir", world.path("small"))
            try world.succeed("mount", "-t", "tmpfs", "-o", "size=128k", "none", world.path("small"))
            try write("kept", to: world.path("other.apus"))
            let cases: [[String]] = [
                ["$APUS dump -t \(pid) -o - | head -c 1000 >/dev/null"],
                ["$APUS dump -t \(pid) -o \(bundle) --action-script \(world.path("no.sh"))"],
                ["$APUS dump -t \(pid) -o \(world.path("small"))/job.apus"],
                ["$APUS dump -t \(pid) -o \(bundle) --work-dir \(world.path("small"))"],
                ["$APUS dump -t \(pid) -o \(world.path("small"))/job.apus --work-dir \(world.folder) --compress none"],
                ["$APUS dump -t \(pid) -o \(world.path("other.apus"))"],
                ["$APUS dump -t \(pid) -o \(world.path("nowhere"))/job.apus"],
                ["$APUS dump -t \(pid) -o \(bundle) --encrypt-to age1nonsense"],
            ]
            for one in cases {
                var command = world.command(["bash", "-c", "set -o pipefail; " + one[0]])
                command.environment = ["APUS": Place.apus, "TMPDIR": world.folder]
                let finished = try command.run()
                #expect(finished.status == 1, "\(one): \(finished)")
                #expect(!finished.errors.contains("--images-dir"), "nobody has named one: \(finished)")
                #expect(!exists(bundle) && names(in: world.path("small")).isEmpty, "\(one)")
                #expect(script.goesOn(in: world), "\(one)")
            }
            #expect(text(world.path("other.apus")) == "kept")
            requireGoingOn(script, world)
        }
    }

    @Test func damagedBundlesMakeNothing() throws {
        try withWorld { world in
            let (script, pid) = try start(world)
            let bundle = world.path("job.apus")
            let dump = try apus(world, ["dump", "-t", "\(pid)", "-o", bundle])
            try #require(dump.status == 0, "\(dump)")
            #expect(eventually { !world.isAlive(pid) })
            for change in ["head -c 20000 \(bundle)", "cat \(bundle) \(bundle)", "tac \(bundle)", "true"] {
                try world.succeed("bash", "-c", "\(change) > \(world.path("bad.apus"))")
                let restore = try apus(world, ["restore", world.path("bad.apus"), "-d"])
                #expect(restore.status == 1 && restore.errors.contains("error[bundle-"), "\(change): \(restore)")
                #expect(world.processes == [], "\(change)")
            }
            let restore = try apus(world, ["restore", bundle, "-d"])
            try #require(restore.status == 0, "\(restore)")
            requireGoingOn(script, world)
        }
    }

    @Test func byAPassphrase() throws {
        try withWorld { world in
            let (script, pid) = try start(world)
            let bundle = world.path("job.apus")
            try write("correct horse\nnot this\n", to: world.path("phrase"))
            try write("battery staple\n", to: world.path("wrong"))
            let dump = try apus(
                world, ["dump", "-t", "\(pid)", "-o", bundle, "--passphrase-file", world.path("phrase")])
            try #require(dump.status == 0, "\(dump)")
            #expect(eventually { !world.isAlive(pid) })
            for options in [[], ["--passphrase-file", world.path("wrong")]] {
                let locked = try apus(world, ["restore", bundle, "-d"] + options)
                #expect(locked.status == 1 && locked.errors.contains("bundle-locked"), "\(locked)")
            }
            let restore = try apus(world, ["restore", bundle, "-d", "--passphrase-file", world.path("phrase")])
            try #require(restore.status == 0, "\(restore)")
            requireGoingOn(script, world)
        }
    }

    /// The program age reads what Apus encrypts, and Apus what age has encrypted.
    @Test(.enabled(if: exists("/usr/bin/age"), "needs age"))
    func encrypted() throws {
        try withWorld { world in
            let (script, pid) = try start(world)
            let (bundle, key) = (world.path("job.apus"), world.path("key.txt"))
            try world.succeed("age-keygen", "-o", key)
            let recipient =
                try world.succeed("age-keygen", "-y", key).split(separator: "\n").last.map(String.init) ?? ""
            let dump = try apus(world, ["dump", "-t", "\(pid)", "-o", bundle, "--encrypt-to", recipient])
            try #require(dump.status == 0, "\(dump)")
            #expect(eventually { !world.isAlive(pid) })
            let locked = try apus(world, ["restore", bundle, "-d"])
            #expect(locked.status == 1 && locked.errors.contains("bundle-locked"), "\(locked)")
            let list = try world.succeed(
                "bash", "-c",
                "age -d -i \(key) \(bundle) | zstd -d 2>/dev/null | tar -t || age -d -i \(key) \(bundle) | tar -t --zstd"
            )
            #expect(list.hasPrefix("manifest.json\n") && list.hasSuffix("SHA256SUMS\n"), "\(list)")
            try world.succeed("bash", "-c", "age -d -i \(key) \(bundle) | age -r \(recipient) > \(bundle).2")
            let restore = try apus(world, ["restore", bundle + ".2", "-d", "--identity", key])
            try #require(restore.status == 0, "\(restore)")
            requireGoingOn(script, world)
        }
    }

    /// Killed at each step, the original lives on or there is a whole bundle; what was left is removed by the next run.
    @Test func killedAtEveryStep() throws {
        try withWorld { world in
            let (script, pid) = try start(world)
            let bundle = world.path("job.apus")
            let trials = Trials(world: world)
            let run = { (environment: [String: String]) throws -> Finished in
                try apus(
                    world, ["dump", "-t", "\(pid)", "-o", bundle, "--leave-running", "--overwrite"],
                    environment: environment)
            }
            let steps = try trials.count(run)
            for step in 1...steps {
                _ = unsafe unlink(bundle)
                guard try trials.kill(at: step, run) else { continue }
                try #require(script.goesOn(in: world, by: 1), "killed at step \(step) of \(steps)")
                if exists(bundle) {
                    let show = try apus(world, ["show", bundle])
                    #expect(show.status == 0, "killed at step \(step) of \(steps): \(show)")
                }
            }
            let last = try run([:])
            #expect(last.status == 0, "\(last)")
            requireGoingOn(script, world)
        }
    }

    /// As criu, `-o` is the log file whatever its name.
    @Test func calledAsCriu() throws {
        try withWorld { world in
            let (_, pid) = try start(world)
            try world.succeed("ln", "-s", Place.apus, world.path("criu"))
            try world.succeed("mkdir", world.path("images"))
            let dump = try world.command([
                world.path("criu"), "dump", "-t", "\(pid)", "-D", world.path("images"), "-o", "log.apus", "-v4", "-R",
            ]).run()
            #expect(dump.status == 0, "\(dump)")
            #expect(text(world.path("images/log.apus")).contains("Dumping finished successfully"))
        }
    }
}
