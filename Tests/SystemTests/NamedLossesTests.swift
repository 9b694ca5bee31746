import Glibc
import Testing

/// What images have no place for, and what a program can well do without, is lost with a warning that names it.
@Suite("Named losses", .enabled(if: geteuid() == 0, "needs root"))
struct NamedLossesTests {
    /// The images come from a host with more processors than this one has.
    @Test func aHostWithoutTheProcessors() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "settings"), in: world)
            try world.requireDump(running.pid, to: "images")
            let supplement = world.path("images/supplement.json")
            let told = text(supplement)
            #expect(told.contains(#""processors":"0""#), "\(told)")
            try write(told.replacing(#""processors":"0""#, with: #""processors":"4000-4001""#), to: supplement)
            // It knows the size that the file had.
            _ = unsafe unlink(world.path("images/manifest.json"))
            try world.requireRestore("images")
            let warnings = lines(world.path("images/restore.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains("4000-4001") }, "no warning names the processors: \(warnings)")
            #expect(running.check() == ["FAIL thread: not on processor 0 alone"])
        }
    }

    /// Keys are secrets of the kernel: a program that has some is told of, and has those of Apus after the restore.
    @Test func keyrings() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "keyrings"), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains("process and thread keyring") }, "\(warnings)")
            #expect(warnings.contains { $0.contains("session keyring subject (1 key)") }, "\(warnings)")
            #expect(warnings.count == 2, "\(warnings)")
            #expect(running.check() == [])
        }
    }

    /// Nobody can have the kernel go on counting where it was.
    @Test func numbersOfZeroCopy() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "tcp"), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running", "--tcp-established"])
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(
                warnings.contains { $0.contains("MSG_ZEROCOPY is numbered from 0 again (it was at 1)") }, "\(warnings)")
            #expect(running.check() == [])
        }
    }

    /// To be asked for its session keyring gives a process none.
    @Test func askingForKeyringsMakesNone() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "keyrings", arguments: ["none"]), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(running.check() == [])
        }
    }

    /// Nor has this host the nodes that memory was on.
    @Test func aHostWithoutTheNodes() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "numa"), in: world)
            try world.requireDump(running.pid, to: "images")
            let supplement = world.path("images/supplement.json")
            let told = text(supplement).replacing(#""nodes":[0]"#, with: #""nodes":[0,900,901]"#)
            try write(
                told.replacing(#""mode":1,"nodes":[0,900,901]"#, with: #""mode":1,"nodes":[900]"#), to: supplement)
            _ = unsafe unlink(world.path("images/manifest.json"))
            try world.requireRestore("images")
            let warnings = lines(world.path("images/restore.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains("interleave 0,900,901") && $0.hasSuffix("has, 0") }, "\(warnings)")
            #expect(warnings.contains { $0.contains("preferred 900") && $0.contains("none of which") }, "\(warnings)")
            #expect(running.check() == ["FAIL preferred: policy 0 of 0, not 0x1 of 1"])
        }
    }

    /// A child has the ring of its parent as memory that it shares, and cannot use it.
    @Test func aRingThatOnlyTheParentCanUse() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "aio", arguments: ["fork"]), in: world)
            try world.requireDump(running.pid, to: "images")
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains("from its parent") }, "\(warnings)")
            #expect(warnings.contains { $0.contains("IOCB_CMD_POLL") }, "\(warnings)")
            try world.requireRestore("images")
            #expect(running.check() == [])
            #expect(running.check() == [])
        }
    }

    /// What the parent of a process that has ended would be told of its time, and the overruns of timers.
    @Test(arguments: [
        ("spent", "processor time"), ("overruns", "overruns of its POSIX timer 0"), ("unread", "waits unread"),
        ("refused", "an error waits in the UDP socket"), ("packets", "packets wait in the raw socket"),
    ])
    func whatCannotBeMade(_ kind: String, _ said: String) throws {
        try withWorld { world in
            let pid = try world.start([Place.subject("lossy"), kind], output: "lossy.out")
            #expect(eventually { lines(world.path("lossy.out")) == ["ready"] })
            try world.requireDump(pid, to: "images", ["--leave-running"])
            let warnings = lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") }
            #expect(warnings.contains { $0.contains(said) }, "not named: \(warnings)")
        }
    }

    /// Events of inotify that were not read cannot be made again, but the program gets to know that there were some.
    @Test func eventsThatWereNotRead() throws {
        try withWorld { world in
            let subject = Subject(name: "missed", arguments: ["FOLDER/watched"])
            let running = try RunningSubject(subject, in: world)
            for round in 1...3 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)")
                let warnings = lines(world.path("images-\(round)/dump.log")).filter { $0.lowercased().contains("warn") }
                #expect(warnings.count == 1 && warnings[0].contains("IN_Q_OVERFLOW"), "\(warnings)")
                try world.requireRestore("images-\(round)")
                #expect(running.changes(since: before) == [], "round \(round)")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// A process that has nothing of the kind is dumped without a warning.
    @Test func noWarningWithoutReason() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(lines(world.path("images/dump.log")).filter { $0.lowercased().contains("warn") } == [])
        }
    }
}
