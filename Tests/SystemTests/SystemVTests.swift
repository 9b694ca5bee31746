import Glibc
import Testing

/// Semaphores and message queues of System V belong to no process: what becomes of those that a dumped tree leaves behind.
@Suite("System V", .enabled(if: geteuid() == 0, "needs root"))
struct SystemVTests {
    private static let subject = Subject(name: "sysv", renewsChildren: true)

    /// On another host there are none.
    @Test func elsewhere() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            for round in 1...2 {
                try world.requireDump(running.pid, to: "images-\(round)")
                try world.succeed("ipcrm", "-a")
                try world.requireRestore("images-\(round)")
                #expect(running.check() == [])
            }
        }
    }

    /// The restore fails after everything was made: what was there is as it was, and nothing is left of what was not.
    @Test(arguments: [true, false])
    func aRestoreThatFails(_ isElsewhere: Bool) throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            try world.requireDump(running.pid, to: "images")
            if isElsewhere { try world.succeed("ipcrm", "-a") }
            #expect(eventually { world.processes.isEmpty })
            let before = try Self.all(world)
            let failed = try world.restore(
                "images", ["--action-script", "test $CRTOOLS_SCRIPT_ACTION != post-restore"])
            #expect(failed.status == 1, "\(failed)")
            #expect(try Self.all(world) == before)
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// Another set has the key by now.
    @Test func aKeyThatIsTaken() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            try world.requireDump(running.pid, to: "images")
            try world.succeed("ipcrm", "-S", "0x41507100")
            let user = try world.start([Place.subject("lossy"), "system-v"], output: "user.out")
            #expect(eventually { lines(world.path("user.out")) == ["ready"] })
            let refused = try world.restore("images")
            #expect(refused.status == 1 && refused.errors.contains("ipcrm -s"), "\(refused)")
            world.signal(SIGKILL, user)
        }
    }

    /// What others use, too, stays where it is, and a warning tells of it.
    @Test func whatOthersUse() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            let user = try world.start([Place.subject("lossy"), "system-v-queue"], output: "user.out")
            #expect(eventually { lines(world.path("user.out")) == ["ready"] })
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains("used by process \(user) outside") }, "\(warnings)")
            #expect(warnings.count == 1, "\(warnings)")
        }
    }

    /// All that `ipcs` shows of values, messages and limits.
    static func all(_ world: World) throws -> String {
        let script = """
            cut -b1-80 /proc/sysvipc/sem; awk '{ print $1, $2, $3, $4, $5, $8, $9, $10, $11 }' /proc/sysvipc/msg
            for id in $(awk 'NR > 1 { print $2 }' /proc/sysvipc/sem); do ipcs -si $id | awk 'NF == 5 { print $1, $2 }'; done
            """
        return try world.succeed("sh", "-c", script)
    }
}
