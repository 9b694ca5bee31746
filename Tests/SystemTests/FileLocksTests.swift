import Glibc
import Testing

/// Locks on files and leases, where others have to do with them too. What a tree does among itself is in the subjects
/// `locks`, `leases` and `lockwaits`.
@Suite("Locks on files", .enabled(if: geteuid() == 0, "needs root"))
struct FileLocksTests {
    /// What is refused before anything is frozen, and in which words.
    struct Refusal: CustomTestStringConvertible {
        let kind: String
        var options: [String] = []
        let words: [String]
        var testDescription: String { kind + options.joined() }

        static let all = [
            Refusal(kind: "lock", words: ["a lock (flock)", "--file-locks"]),
            Refusal(kind: "lease", words: ["a lease", "--file-locks"]),
            Refusal(kind: "lease-mapped", options: ["--file-locks"], words: ["mapped and held by a write lease"]),
            Refusal(kind: "lease-nameless", options: ["--file-locks"], words: ["lost its name", "write lease"]),
        ]
    }

    @Test(arguments: Refusal.all)
    func isRefused(_ refusal: Refusal) throws {
        try withWorld { world in
            let running = try RunningSubject(
                Subject(name: "unsupported", arguments: [refusal.kind, "FOLDER"]), in: world)
            let before = running.snapshot
            let finished = try world.dump(running.pid, to: "images", refusal.options)
            #expect(finished.status == 1)
            for word in refusal.words + ["\(running.pid)"] { #expect("\(finished)".contains(word), "\(finished)") }
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// A lock that only a mapping keeps is lost, and named: refused, it would be an obstacle to every program in Java.
    @Test func aLockWithoutADescriptor() throws {
        try withWorld { world in
            let running = try RunningSubject(
                Subject(name: "unsupported", arguments: ["lock-mapped", "FOLDER"]), in: world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            let log = text(world.path("images/dump.log"))
            #expect(log.contains("is held by a lock (flock), whose descriptor is closed: the lock is not carried"))
            #expect(running.check() == [])
        }
    }

    /// Who waits for a lock that somebody outside has goes on waiting, and gets it in the end.
    @Test func aWaiterForTheLockOfAnOutsider() throws {
        try withWorld { world in
            let file = world.path("locked")
            let holder = try world.start(["flock", "-F", file, "sleep", "1000"], output: "holder.out")
            try #require(eventually { world.isReleased(holder, named: "sleep") })
            let waiter = try world.start(
                ["flock", "-F", file, "sh", "-c", "echo got; exec sleep 1000"], output: "waiter.out")
            #expect(eventually { world.isReleased(waiter, named: "flock") })
            for round in 1...2 {
                try world.requireDump(waiter, to: "images-\(round)")
                #expect(eventually { world.processes == [holder] })
                try world.requireRestore("images-\(round)")
                usleep(100_000)
                #expect(lines(world.path("waiter.out")) == [], "round \(round): does not wait any more")
            }
            #expect(world.signal(SIGKILL, holder))
            #expect(eventually { lines(world.path("waiter.out")) == ["got"] })
            #expect(world.isAlive(waiter))
        }
    }

    /// A lock that somebody else has got by the time of the restore is no loss to be silent about.
    @Test(
        arguments: ["locks": "whole", "leases": "writing"].filter { file in Subject.all.contains { $0.name == file.key }
        })
    func takenMeanwhile(_ name: String, _ file: String) throws {
        try withWorld { world in
            let subject = try #require(Subject.all.first { $0.name == name })
            let running = try RunningSubject(subject, in: world)
            try world.requireDump(running.pid, to: "images", running.dumpOptions)
            #expect(eventually { world.processes.isEmpty })
            let path = world.path("\(name)/\(file)")
            let other = try world.start(["flock", "-F", path, "sleep", "1000"], output: "other.out")
            try #require(eventually { world.isReleased(other, named: "sleep") })
            let refused = try world.restore("images")
            #expect(refused.status == 1)
            #expect(refused.errors.contains(path) && refused.errors.contains("/proc/locks"), "\(refused)")
            #expect(eventually { world.processes == [other] })
            #expect(world.signal(SIGKILL, other))
            #expect(eventually { world.processes.isEmpty })
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }
}
