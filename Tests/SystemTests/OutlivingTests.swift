import Glibc
import Testing

/// Things of an IPC namespace that outlive their processes: what a dumped tree leaves behind, what others do with it by
/// the time of the restore, and where there is nothing of it.
@Suite("Outliving IPC", .enabled(if: geteuid() == 0, "needs root"))
struct OutlivingTests {
    /// The subjects, and the code of the refusal where somebody uses what is to be taken over.
    static let kinds = [("sysv", "system-v-in-use"), ("posixipc", "queue-in-use")]

    /// On another host there is nothing: all goes with an IPC namespace.
    @Test(arguments: kinds)
    func elsewhere(_ kind: (name: String, code: String)) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: kind.name, renewsChildren: kind.name == "sysv"), in: world)
            try world.requireDump(running.pid, to: "images")
            let restore = try world.command(
                ["unshare", "--ipc", Place.apus, "restore", "-D", world.path("images"), "-d", "-o", "restore.log"]
            ).run()
            #expect(restore.status == 0, "\(restore)")
            #expect(running.check() == [])
        }
    }

    /// In a pid namespace of its own a copy would not see the original that still uses what it would take.
    @Test(arguments: kinds)
    func besideTheOriginal(_ kind: (name: String, code: String)) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: kind.name, renewsChildren: kind.name == "sysv"), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let refused = try world.restore("images", ["--pid-policy", "new-namespace"])
            #expect(refused.status == 1 && refused.errors.contains(kind.code), "\(refused)")
            #expect(refused.errors.contains("cannot be seen"), "\(refused)")
            #expect(running.check() == [])
        }
    }

    /// Somebody else has begun to use what the tree has left.
    @Test(arguments: kinds)
    func whatIsInUse(_ kind: (name: String, code: String)) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: kind.name, renewsChildren: kind.name == "sysv"), in: world)
            try world.requireDump(running.pid, to: "images")
            let failed = try world.restore(
                "images", ["--action-script", "test $CRTOOLS_SCRIPT_ACTION != post-restore"])
            #expect(failed.status == 1, "\(failed)")
            let what = kind.name == "sysv" ? ["system-v"] : ["queue", "/apus-\(running.pid)-0"]
            let user = try world.start([Place.subject("lossy")] + what, output: "user.out")
            #expect(eventually { lines(world.path("user.out")) == ["ready"] })
            let before = try SystemVTests.all(world)
            let refused = try world.restore("images")
            #expect(refused.status == 1 && refused.errors.contains(kind.code), "\(refused)")
            #expect(refused.errors.contains("process \(user) "), "\(refused)")
            #expect(try SystemVTests.all(world) == before)
            world.signal(SIGKILL, user)
            #expect(eventually { world.processes.isEmpty })
            // The last user of semaphores and queues of System V is named by the kernel for ever.
            if kind.name == "sysv" { return }
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }
}
