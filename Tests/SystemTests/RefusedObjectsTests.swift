import Glibc
import Testing

/// What is refused is called by its name, with process, descriptor and a way out.
@Suite("Refused objects", .enabled(if: geteuid() == 0, "needs root"))
struct RefusedObjectsTests {
    /// What the subject `unsupported` makes, what the refusal calls it, and a word of the way out.
    static let objects = [
        ("fanotify", "a fanotify queue", "fanotify"),
        ("bpf", "a BPF map", "Detach"), ("perf", "a performance counter", "perf"),
        ("secretmem", "secret memory", "hidden"), ("userfaultfd", "a userfaultfd", "page faults"),
        ("/dev/fuse", "a file system in user space", "fusermount -u"), ("/dev/kvm", "a virtual machine", "migration"),
        ("/dev/loop-control", "the control of loop devices", "--external"),
        ("/dev/loop0", "a loop device", "--external"),
        ("graphics", "virtual console", "--external"), ("line", "line discipline", "--external"),
    ]

    @Test(arguments: objects)
    func whatItIsCalled(_ object: (kind: String, name: String, remedy: String)) throws {
        try withWorld { world in
            // Not every kernel has all of them.
            guard let running = try? RunningSubject(Self.subject(object.kind), in: world) else { return }
            let before = running.snapshot
            let finished = try world.dump(running.pid, to: "images")
            #expect(finished.status == 1, "\(finished)")
            let said = finished.errors.replacing("\n", with: " ").split(separator: " ").joined(separator: " ")
            #expect(said.contains(object.name) && said.contains(object.remedy), "\(finished)")
            #expect(said.contains("process \(running.pid)") && said.contains("descriptor"), "\(finished)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// The user says that the restore will give something in its place.
    @Test(arguments: ["/dev/loop-control", "/dev/fuse", "/dev/loop0"])
    func aDeviceThatIsGivenAnew(_ device: String) throws {
        try withWorld { world in
            guard let running = try? RunningSubject(Self.subject(device), in: world) else { return }
            let refused = try world.dump(running.pid, to: "images")
            let key = try #require(refused.errors.firstMatch(of: /file\[[0-9a-f]+:[0-9a-f]+\]/)).output
            try world.requireDump(running.pid, to: "images", ["--external", String(key)])
            let missing = try world.restore("images")
            #expect(missing.status == 1 && missing.errors.contains(key), "\(missing)")
            let script =
                "exec 7<>\(device); exec \(Place.apus) restore -D \(world.path("images")) -d --inherit-fd 'fd[7]:\(key)'"
            try world.succeed("bash", "-c", script)
            #expect(running.check() == [])
            #expect(target(of: "\(world.proc)/\(running.pid)/fd/3") == device)
        }
    }

    /// The user names the device at the dump, and says at the restore which one that is there.
    @Test func aDeviceThatHasAnotherNameHere() throws {
        try withWorld { world in
            guard let running = try? RunningSubject(Self.subject("/dev/loop6"), in: world) else { return }
            let refused = try world.dump(running.pid, to: "images")
            #expect(refused.status == 1 && refused.errors.contains("dev[7/6]:VALUE"), "\(refused)")
            try world.requireDump(running.pid, to: "images", ["--external", "dev[7/6]:disk"])
            let missing = try world.restore("images")
            #expect(missing.status == 1 && missing.errors.contains("dev[disk]:PATH"), "\(missing)")
            let other = try world.restore("images", ["--external", "dev[disk]:/dev/null"])
            #expect(other.status == 1 && other.errors.contains("is not a block device"), "\(other)")
            try world.requireRestore("images", ["--external", "dev[disk]:/dev/loop7"])
            #expect(running.check() == [])
            #expect(target(of: "\(world.proc)/\(running.pid)/fd/3") == "/dev/loop7")
        }
    }

    /// Namespaces are not carried; the refusal names which.
    @Test(arguments: ["ipc", "uts", "net"])
    func namespacesOfItsOwn(_ kind: String) throws {
        try withWorld { world in
            let pid = try world.start(["unshare", "--\(kind)", "sleep", "1000"], output: "out")
            try #require(eventually { world.isReleased(pid, named: "sleep") })
            let finished = try world.dump(pid, to: "images")
            #expect(
                finished.status == 1 && finished.errors.contains("other namespaces than Apus (\(kind))"), "\(finished)")
            #expect(finished.errors.contains("nsenter"), "\(finished)")
            #expect(world.isAlive(pid))
        }
    }

    private static func subject(_ kind: String) -> Subject {
        Subject(name: "unsupported", arguments: [kind, "FOLDER"])
    }
}
