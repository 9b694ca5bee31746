import Glibc
import Testing

/// Processes with so many open files that the numbers run short.
@Suite("Many files", .enabled(if: geteuid() == 0, "needs root"))
struct ManyFilesTests {
    private static let hard: UInt64 = {
        var limit = rlimit()
        return unsafe getrlimit(__rlimit_resource_t(7), &limit) == 0 ? UInt64(limit.rlim_max) : 0
    }()

    /// Files and pipes, as many as half the descriptors that there may be, or almost all.
    @Test(
        .enabled(if: ManyFilesTests.hard >= 20_000, "needs a hard limit of 20000 open files"),
        arguments: [["10000", "0", "0"], ["10", "5000", "0"], ["3000", "1000", "3"]])
    func comeBack(_ counts: [String]) throws {
        try withWorld { world in
            let subject = Subject(name: "plenty", arguments: ["FOLDER"] + counts)
            let running = try RunningSubject(subject, in: world)
            let before = running.snapshot
            let images = world.path("images")
            _ = unsafe mkdir(images, 0o755)
            // Built without optimization, Apus takes its time.
            let dump = try world.apus(
                ["dump", "-t", "\(running.pid)", "-D", images, "--timeout", "300"], seconds: 300)
            try #require(dump.status == 0, "\(dump)")
            let restore = try world.apus(["restore", "-D", images, "-d"], seconds: 300)
            try #require(restore.status == 0, "\(restore)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// The original lives on where the restore would not be possible.
    @Test func tooManyAreRefusedBeforeTheEnd() throws {
        try withWorld { world in
            let subject = Subject(name: "plenty", arguments: ["FOLDER", "300", "0", "1"])
            let running = try RunningSubject(subject, in: world)
            // Without the right to raise it, as in many a container.
            func limited(_ arguments: [String]) throws -> Finished {
                try world.command(
                    ["setpriv", "--bounding-set=-sys_resource", "prlimit", "--nofile=700:700", Place.apus] + arguments
                ).run()
            }
            let explained = try limited(["explain", "\(running.pid)"])
            #expect(explained.output.contains("open files is enough"), "\(explained)")
            let before = running.snapshot
            _ = unsafe mkdir(world.path("images"), 0o755)
            let dump = try limited(["dump", "-t", "\(running.pid)", "-D", world.path("images"), "--timeout", "60"])
            #expect(dump.status == 1)
            #expect(dump.errors.contains("too-many-files") && dump.errors.contains("prlimit --nofile="), "\(dump)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
            let last = running.snapshot
            try world.requireDump(running.pid, to: "images", [])
            let restore = try limited(["restore", "-D", world.path("images"), "-d"])
            #expect(restore.status == 1 && restore.errors.contains("prlimit --nofile="), "\(restore)")
            #expect(world.processes == [])
            try world.requireRestore("images", [])
            #expect(running.changes(since: last) == [])
            #expect(running.check() == [])
        }
    }

    /// A process whose hard limit leaves no number for Apus is refused before anything stands still.
    @Test func noRoomForOneMore() throws {
        try withWorld { world in
            let subject = Subject(name: "plenty", arguments: ["FOLDER", "80", "0", "1", "tight"])
            let running = try RunningSubject(subject, in: world)
            let before = running.snapshot
            let dump = try world.dump(running.pid, to: "images")
            #expect(dump.status == 1 && dump.errors.contains("prlimit --nofile"), "\(dump)")
            #expect(!text(world.path("images/dump.log")).contains("phase freeze"))
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }
}
