import Glibc
import Testing

/// A restore on a host that is no twin of the first: files that differ, are missing, have grown, or came along.
@Suite("Unlike hosts", .enabled(if: geteuid() == 0, "needs root"))
struct UnlikeHostsTests {
    /// The complaint that began it all: another size of /usr/lib/locale/locale-archive. Here with an archive that glibc
    /// itself made and maps, and that gets a second locale between dump and restore, as by an update of the system.
    @Test(.enabled(if: Programs.has("localedef"), "needs localedef"))
    func anotherLocaleArchive() throws {
        try withWorld { world in
            let archive = "/usr/lib/locale/locale-archive"
            try world.succeed("cp", "-a", "/usr/lib/locale", world.path("locale"))
            try world.succeed("mount", "--bind", world.path("locale"), "/usr/lib/locale")
            let made = try world.command(["localedef", "-i", "en_US", "-f", "UTF-8", "en_US.UTF-8"]).run(seconds: 60)
            guard made.status == 0, exists(world.path("locale/locale-archive")) else { return }
            let script = try CountingScript(in: world)
            let pid = try world.start(
                ["bash", script.path], output: script.output, environment: ["LC_ALL": "en_US.UTF-8"])
            #expect(script.goesOn(in: world))
            try #require(text("\(world.proc)/\(pid)/maps").contains(archive))
            try world.requireDump(pid, to: "plain", ["--leave-running"])
            try world.requireDump(pid, to: "images", ["--ship", "auto"])
            // Compressed sources may need a while.
            _ = try world.command(["localedef", "-i", "de_DE", "-f", "UTF-8", "de_DE.UTF-8"]).run(seconds: 60)
            let other = try #require(bytes(at: world.path("locale/locale-archive")))

            let refused = try world.restore("plain", state(world))
            #expect(refused.status == 1)
            #expect(refused.errors.contains(archive) && refused.errors.contains("--ship"), "\(refused)")
            #expect(world.processes == [])

            try world.requireRestore("images", state(world))
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
            #expect(text("\(world.proc)/\(pid)/maps").contains(world.path("state/files/")))
            #expect(bytes(at: world.path("locale/locale-archive")) == other, "the host's own file was touched")

            // What a process maps is no garbage, and when it has gone it is.
            let count = names(in: world.path("state/files")).count
            #expect(try world.apus(["gc"] + state(world)).output.contains("0 copies removed"))
            #expect(names(in: world.path("state/files")).count == count && count > 0)
            #expect(script.goesOn(in: world))
            world.killAll()
            #expect(try world.apus(["gc"] + state(world)).status == 0)
            #expect(names(in: world.path("state/files")) == [])
        }
    }

    /// A dump of a program that runs from copies takes them along, whatever it is told: they have no other place.
    @Test func copiesAreTakenAlongAgain() throws {
        try withWorld { world in
            let program = world.path("program")
            try world.succeed("cp", "/bin/sleep", program)
            let pid = try world.start([program, "1000"], output: "out")
            usleep(50_000)
            try world.requireDump(pid, to: "images", ["--ship", "auto"])
            try world.succeed("rm", program)
            for round in 1...2 {
                try world.requireRestore(round == 1 ? "images" : "again-1", state(world))
                #expect(text("\(world.proc)/\(pid)/maps").contains(world.path("state/files/")))
                try world.requireDump(pid, to: "again-\(round)")
                #expect(eventually { !world.isAlive(pid) })
                #expect(try world.apus(["gc"] + state(world)).status == 0)
                #expect(names(in: world.path("state/files")) == [])
            }
            try world.requireRestore("again-2", state(world))
            #expect(world.isAlive(pid))
        }
    }

    /// A C library of another build, laid over the path as another host would have it.
    @Test func anotherLibrary() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            let library = try #require(cLibrary(of: pid, in: world))
            try world.requireDump(pid, to: "plain", ["--leave-running"])
            try world.requireDump(pid, to: "images", ["--ship", "auto"])
            let whole = try #require(bytes(at: library))
            let changed = try #require(withAnotherBuildID(whole))
            try write(changed, to: world.path("other.so"), mode: 0o755)
            try world.succeed("mount", "--bind", world.path("other.so"), library)

            let refused = try world.restore("plain", state(world))
            #expect(refused.status == 1 && refused.errors.contains(library), "\(refused)")
            #expect(world.processes == [] && !exists(world.path("state")))
            #expect(try world.restore("plain", ["--file", "\(library)=build-id"]).status == 1)
            #expect(try world.restore("plain", ["--file-validation", "buildid"]).status == 1)

            try world.requireRestore("images", state(world))
            #expect(script.goesOn(in: world))
            #expect(script.mistakes(in: world) == [])
            let maps = text("\(world.proc)/\(pid)/maps")
            #expect(maps.contains(world.path("state/files/")) && !maps.contains(library))
            #expect(bytes(at: world.path("other.so")) == changed)

            // It can be dumped again, and with it what it maps.
            try world.requireDump(pid, to: "again", ["--ship", "auto"])
            try world.succeed("rm", "-r", world.path("state"))
            try world.requireRestore("again", state(world))
            #expect(script.goesOn(in: world))
            world.killAll()

            // The code is the same, after all: whoever says so is believed.
            try world.requireRestore("plain", ["--file", "\(library)=size"])
            #expect(world.isReleased(pid, named: "bash"))
        }
    }

    /// The same build with more behind it, as after `objcopy --add-section`: will do, unless somebody asks for more.
    @Test func theSameBuild() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            let library = try #require(cLibrary(of: pid, in: world))
            try world.requireDump(pid, to: "images")
            let whole = try #require(bytes(at: library))
            try write(whole + [0], to: world.path("other.so"), mode: 0o755)
            try world.succeed("mount", "--bind", world.path("other.so"), library)
            for policy in ["exact", "size", "ship"] {
                let refused = try world.restore("images", ["--file", "*/libc*=\(policy)"])
                #expect(refused.status == 1 && refused.errors.contains(library), "\(policy): \(refused)")
            }
            #expect(try world.restore("images", ["--file-validation", "filesize"]).status == 1)
            for options in [
                [], ["--file", "\(library)=build-id"],
                // What has no build id is known by its size then, as in CRIU: and the script has gone on writing.
                ["--file-validation", "buildid", "--file", "*/count.out=grown"], ["--file", "*=ignore"],
            ] {
                try world.requireRestore("images", options)
                #expect(script.goesOn(in: world))
                world.killAll()
            }
        }
    }

    /// The program of the first restore has gone on with its log when the second restore begins; CRIU refuses that.
    @Test func theLogHasGrown() throws {
        try withWorld { world in
            let log = world.path("log")
            try write("exec >\(log); i=0; while :; do echo $((i++)); sleep 0.05; done\n", to: world.path("log.sh"))
            let pid = try world.start(["bash", world.path("log.sh")], output: "out")
            #expect(eventually { lines(log).count > 5 })
            try world.requireDump(pid, to: "images")
            let then = bytes(at: log) ?? []
            try world.requireRestore("images")
            #expect(eventually { (bytes(at: log) ?? []).count > then.count + 10 })
            world.killAll()
            let grown = (bytes(at: log) ?? []).count - then.count
            try world.requireRestore("images")
            #expect(text(world.path("images/restore.log")).contains("\(log) has grown by \(grown) bytes"))
            world.killAll()
            #expect(try world.restore("images", ["--file", "*/log=size"]).status == 1)
            for policy in ["", "--file=*/log=grown"] {
                try world.succeed("truncate", "-s", "3", log)
                let cut = try world.restore("images", policy.isEmpty ? [] : [policy])
                #expect(cut.status == 1 && cut.errors.contains("3 bytes") && cut.errors.contains("position"), "\(cut)")
            }
            try world.requireRestore("images", ["--file", "*/log=ignore"])
        }
    }

    /// Every policy both ways, of a file that is open for reading.
    @Test func policies() throws {
        try withWorld { world in
            let (file, other) = (world.path("data"), world.path("date"))
            for path in [file, other] { try write("one\ntwo\nthree\n", to: path) }
            try write(
                "exec 3<\(file) 4<\(other); read x <&4; read x <&3; while :; do sleep 0.05; done\n",
                to: world.path("read.sh"))
            let pid = try world.start(["bash", world.path("read.sh")], output: "out")
            #expect(eventually { text("\(world.proc)/\(pid)/fdinfo/3").contains("pos:\t4\n") })
            try world.requireDump(pid, to: "images")
            let cases: [(content: String, accepting: Set<String>)] = [
                ("one\ntwo\nthree\n", ["", "exact", "build-id", "size", "grown", "ignore", "ship"]),
                ("one\ntwo\nthree\nfour\n", ["", "grown", "ignore"]),
                ("one\ntwo\nTHREE\n", ["size", "ignore"]),
                ("one\nTWO\nthree\nfour\n", ["ignore"]),
                ("one\n", ["ignore"]),
            ]
            for (content, accepting) in cases {
                for path in [file, other] {
                    try world.succeed("rm", path)
                    try write(content, to: path)
                }
                for policy in ["", "exact", "build-id", "size", "grown", "ignore", "ship"] {
                    let options = policy.isEmpty ? [] : ["--file", "*/dat?=\(policy)"]
                    let finished = try world.restore("images", options)
                    #expect((finished.status == 0) == accepting.contains(policy), "\(content) \(policy): \(finished)")
                    if finished.status != 0 {
                        // Both at once.
                        #expect([file, other].allSatisfy(finished.errors.contains), "\(finished)")
                    }
                    world.killAll()
                }
            }
            for wrong in ["data", "=size", "*=some"] {
                #expect(try world.restore("images", ["--file", wrong]).errors.contains("PATTERN=POLICY"))
            }
        }
    }

    /// What came along and was changed on its way is not used, and leads nowhere else.
    @Test func tamperedCopies() throws {
        try withWorld { world in
            let (pid, script) = try shipped(world)
            let manifest = text(world.path("images/manifest.json"))
            let copies = names(in: world.path("images/files"))
            #expect(copies.count > 2)
            let target = world.path("target")
            try write("target", to: target)
            try world.succeed("mount", "--bind", world.path("other.so"), script.library)
            for copy in copies {
                let path = world.path("images/files/\(copy)")
                guard let whole = bytes(at: path), whole == script.content else { continue }
                var changed = whole
                changed[changed.count / 2] ^= 1
                try write(changed, to: path)
                try expectRefusal(world, naming: "files/\(copy)")
                try world.succeed("rm", path)
                try expectRefusal(world, naming: "files/\(copy)")
                try world.succeed("ln", "-s", target, path)
                try expectRefusal(world, naming: "files/\(copy)")
                try world.succeed("rm", path)
                try write(whole, to: path)
            }
            for forged in ["../../target", "..", "/etc/passwd", ""] {
                let digest = try #require(copies.last)
                try write(manifest.replacing(digest, with: forged), to: world.path("images/manifest.json"))
                try expectRefusal(world, naming: "manifest.json")
            }
            #expect(text(target) == "target")
            try write(manifest, to: world.path("images/manifest.json"))

            // A damaged copy in the store is replaced, and a link there is not followed.
            try world.requireRestore("images", state(world))
            world.killAll()
            let stored = names(in: world.path("state/files"))
            for name in stored {
                try world.succeed("rm", world.path("state/files/\(name)"))
                try world.succeed("ln", "-s", target, world.path("state/files/\(name)"))
            }
            try world.requireRestore("images", state(world))
            #expect(world.isReleased(pid, named: "bash"))
            #expect(text(target) == "target")
        }
    }

    /// An image whose size is right and whose content is not.
    @Test func tamperedImages() throws {
        try withWorld { world in
            let subject = try #require(Subject.all.first { $0.name == "memory" })
            let running = try RunningSubject(subject, in: world)
            try world.requireDump(running.pid, to: "images")
            for image in names(in: world.path("images")) where image.hasSuffix(".img") {
                let path = world.path("images/\(image)")
                let whole = try #require(bytes(at: path))
                guard !whole.isEmpty else { continue }
                var changed = whole
                changed[whole.count - 1] ^= 1
                try write(changed, to: path)
                try expectRefusal(world, naming: image)
                try write(whole, to: path)
            }
            try world.requireRestore("images")
        }
    }

    /// `apus check DIR` says what a restore would say, all of it, and makes nothing.
    @Test func check() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            try world.requireDump(pid, to: "images", ["--leave-running"])
            // What it has started may end meanwhile; its pid is taken until it is waited for.
            #expect(world.signal(SIGSTOP, pid))
            try world.succeed("mv", script.path, script.path + ".away")
            let bad = try world.apus(["check", world.path("images"), "--json"])
            #expect(bad.status == 1 && bad.output.contains("\"ok\": false"), "\(bad)")
            #expect(bad.output.contains("pid-in-use") && bad.output.contains("file-missing"), "\(bad)")
            let refused = try world.restore("images", ["--json"])
            for code in ["pid-in-use", "file-missing"] {
                let count = { (text: String) in text.split(separator: "\"\(code)\"").count }
                #expect(count(refused.output) == count(bad.output), "\(refused)")
            }
            #expect(try world.apus(["check", world.path("images")]).output.contains(script.path))
            world.killAll()
            try world.succeed("mv", script.path + ".away", script.path)
            let before = listing(world.folder)
            let good = try world.apus(["check", world.path("images")])
            #expect(good.status == 0 && good.output.contains("can be restored here"), "\(good)")
            #expect(listing(world.folder) == before && world.processes == [])
            try world.requireRestore("images")
            #expect(script.goesOn(in: world))
            #expect(try world.apus(["check", world.path("nowhere")]).status == 1)
            #expect(try world.apus(["check", "a", "b"]).status == 1)
        }
    }

    /// Another processor: the manifest is made to say that the first one could do more.
    @Test func anotherProcessor() throws {
        try withWorld { world in
            let script = try CountingScript(in: world)
            let pid = try world.start(["bash", script.path], output: script.output)
            #expect(script.goesOn(in: world))
            try world.requireDump(pid, to: "images")
            let path = world.path("images/manifest.json")
            let manifest = text(path)
            let other = manifest.replacing("\"features\": [", with: "\"features\": [\n\"avx512_of_tomorrow\",")
            try #require(other != manifest)
            try write(other, to: path)
            let refused = try world.restore("images")
            #expect(refused.status == 1 && refused.errors.contains("avx512_of_tomorrow"), "\(refused)")
            try world.requireRestore("images", ["--cpu-cap=none"])
            #expect(script.goesOn(in: world))
        }
    }

    /// A file that the tree writes to comes along with `--ship all`, and goes where there is none, or where it may.
    @Test func aFileIsPutInPlace() throws {
        try withWorld { world in
            let log = world.path("logs/log")
            try world.succeed("mkdir", world.path("logs"))
            try write("exec >\(log); i=0; while :; do echo $((i++)); sleep 0.05; done\n", to: world.path("log.sh"))
            let pid = try world.start(["bash", world.path("log.sh")], output: "out")
            #expect(eventually { lines(log).count > 5 })
            try world.requireDump(pid, to: "images", ["--ship", "all"])
            let then = bytes(at: log) ?? []
            try world.succeed("rm", log)

            try world.requireRestore("images", state(world))
            #expect(eventually { (bytes(at: log) ?? []).count > then.count })
            #expect((bytes(at: log) ?? []).starts(with: then))
            world.killAll()
            #expect(names(in: world.path("logs")) == ["log"])

            // One that is there stays, and goes on being written to.
            try write(then + Array("other\n".utf8), to: log)
            try world.requireRestore("images", state(world))
            world.killAll()
            #expect((bytes(at: log) ?? []).count >= then.count + 6)
            try write("other\n", to: log)
            #expect(try world.restore("images", state(world)).status == 1)
            #expect(text(log) == "other\n")
            try world.requireRestore("images", state(world) + ["--overwrite-files"])
            #expect(eventually { (bytes(at: log) ?? []).count > then.count })
            #expect((bytes(at: log) ?? []).starts(with: then))
            world.killAll()

            // A directory that has become a link is not followed.
            try world.succeed("mv", world.path("logs"), world.path("moved"))
            try world.succeed("rm", world.path("moved/log"))
            try world.succeed("ln", "-s", world.path("moved"), world.path("logs"))
            let refused = try world.restore("images", state(world))
            #expect(refused.status == 1 && refused.errors.contains(world.path("logs")), "\(refused)")
            #expect(names(in: world.path("moved")) == [] && world.processes == [])
        }
    }

    // MARK: Tools

    private func state(_ world: World) -> [String] { ["--state-dir", world.path("state")] }

    /// A dump with copies, on a host whose C library will be another.
    private func shipped(_ world: World) throws -> (pid: Int32, script: (library: String, content: [UInt8])) {
        let script = try CountingScript(in: world)
        let pid = try world.start(["bash", script.path], output: script.output)
        #expect(script.goesOn(in: world))
        let library = try #require(cLibrary(of: pid, in: world))
        try world.requireDump(pid, to: "images", ["--ship", "auto"])
        let whole = try #require(bytes(at: library))
        try write(try #require(withAnotherBuildID(whole)), to: world.path("other.so"), mode: 0o755)
        return (pid, (library, whole))
    }

    private func cLibrary(of pid: Int32, in world: World) -> String? {
        lines("\(world.proc)/\(pid)/maps").lazy.compactMap { $0.split(separator: " ").last.map(String.init) }
            .first { $0.contains("/libc.so") || $0.contains("/libc-") }
    }

    /// The same code under another build id: the note that holds it begins with sizes, a type and the name GNU.
    private func withAnotherBuildID(_ file: [UInt8]) -> [UInt8]? {
        let note: [UInt8] = [4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 0x47, 0x4e, 0x55, 0]
        var changed = file
        for start in 0..<min(file.count - 40, 65536) where file[start..<start + note.count].elementsEqual(note) {
            changed[start + note.count] ^= 0xff
            return changed
        }
        return nil
    }

    private func expectRefusal(_ world: World, naming name: String) throws {
        let refused = try world.restore("images", state(world))
        #expect(refused.status == 1 && refused.errors.contains(name), "\(name): \(refused)")
        #expect(eventually(seconds: 1) { world.processes == [] })
        let left = names(in: world.path("state/files"))
        #expect(left == [], "\(name): \(left)")
        if refused.status == 0 { world.killAll() }
    }
}
