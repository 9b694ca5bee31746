import Glibc
import Testing

/// Names of sockets, of which a host has but one each.
@Suite("Names of sockets", .enabled(if: geteuid() == 0, "needs root"))
struct SocketNamesTests {
    private static let subject = Subject(name: "unixsockets", arguments: ["FOLDER/sockets"])

    /// A file in the place of a socket is not touched, and named.
    @Test func aFileThatHasTheName() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            try world.requireDump(running.pid, to: "images")
            let path = world.path("sockets/mutual-0")
            _ = unsafe unlink(path)
            try write("somebody's", to: path)
            let restore = try world.restore("images")
            #expect(restore.status == 1 && restore.errors.contains(path), "\(restore)")
            #expect(text(path) == "somebody's")
            #expect(world.processes == [])
            _ = unsafe unlink(path)
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// A restore that fails late leaves no name of a socket behind.
    @Test func namesGoWithAFailedRestore() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            try world.requireDump(running.pid, to: "images")
            for name in names(in: world.path("sockets")) { _ = unsafe unlink(world.path("sockets/\(name)")) }
            let restore = try world.restore(
                "images", ["--action-script", "[ \"$CRTOOLS_SCRIPT_ACTION\" != post-restore ]"])
            #expect(restore.status == 1, "\(restore)")
            #expect(names(in: world.path("sockets")) == [])
            #expect(eventually(seconds: 2) { world.processes == [] })
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// While the original lives, its names are its own.
    @Test func theOriginalHasThem() throws {
        try withWorld { world in
            let running = try RunningSubject(Self.subject, in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let restore = try world.restore("images")
            #expect(restore.status == 1 && restore.errors.contains("name-in-use"), "\(restore)")
            #expect(running.check() == [])
        }
    }

    /// A datagram socket is connected anew to a service outside of the tree where that is allowed.
    @Test func aServiceOutside() throws {
        try withWorld { world in
            let running = try RunningSubject(
                Subject(name: "unsupported", arguments: ["socket-service", "FOLDER"]), in: world)
            for round in 1...3 {
                try world.requireDump(running.pid, to: "images-\(round)", ["--ext-unix-sk"])
                try world.requireRestore("images-\(round)", ["--ext-unix-sk"])
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// The journal of systemd is connected to anew, and told who is speaking.
    @Test func theJournal() throws {
        try withWorld { world in
            try world.succeed("mount", "-t", "tmpfs", "none", "/run")
            let running = try RunningSubject(
                Subject(name: "unsupported", arguments: ["socket-journal", "FOLDER"]), in: world)
            let refused = try world.dump(running.pid, to: "images")
            #expect(refused.status == 1 && refused.errors.contains("dump with --ext-unix-sk"), "\(refused)")
            for round in 1...3 {
                try world.requireDump(running.pid, to: "images-\(round)", ["--ext-unix-sk"])
                try world.requireRestore("images-\(round)", ["--ext-unix-sk"])
                #expect(running.check() == [], "round \(round)")
            }
            let expected = String(repeating: "unsupported\n\n6\n1\n0\n0\n0\na line\n", count: 3)
            #expect(
                eventually(seconds: 2) { text(world.path("unsupported")) == expected },
                "\(text(world.path("unsupported")))")
        }
    }
}
