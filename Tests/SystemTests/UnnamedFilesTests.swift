import Glibc
import Testing

/// Files that have lost their names, and segments of System V shared memory: what three rounds do not show.
@Suite("Files without a name", .enabled(if: geteuid() == 0, "needs root"))
struct UnnamedFilesTests {
    /// A library that was updated under a running program: its name is another file's, which stays what it is.
    @Test func aReplacedFile() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "deleted", arguments: ["FOLDER", "replaced"]), in: world)
            for round in 1...2 {
                try world.requireDump(running.pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                #expect(running.check() == [], "round \(round)")
                #expect(text(world.path("library")) == "another")
                let left = names(in: world.folder).filter { $0.contains("apus-") || $0 == "shared" || $0 == "gone" }
                #expect(left == [], "round \(round)")
            }
        }
    }

    /// Directories and hard-linked files whose names others have taken.
    @Test func replacedDirectories() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "nameless", arguments: ["FOLDER", "replaced"]), in: world)
            for round in 1...2 {
                try world.requireDump(running.pid, to: "images-\(round)", ["--link-remap"])
                try world.requireRestore("images-\(round)")
                #expect(running.check() == [], "round \(round)")
                #expect(
                    names(in: world.path("nameless")).sorted() == ["elsewhere", "first", "outer"], "round \(round)")
            }
        }
    }

    /// The names that a dump gives go with a dump that fails, stay for a restore that failed, and go with one that did not.
    @Test func namesThatADumpGives() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "nameless", arguments: ["FOLDER"]), in: world)
            let folder = world.path("nameless")
            let refused = try world.dump(running.pid, to: "images")
            #expect(refused.status == 1 && refused.errors.contains("--link-remap"), "\(refused)")
            let failed = try world.dump(
                running.pid, to: "images",
                ["--link-remap", "--action-script", "test $CRTOOLS_SCRIPT_ACTION != post-dump"])
            #expect(failed.status == 1, "\(failed)")
            #expect(names(in: folder) == ["elsewhere"])
            #expect(running.check() == [])
            try world.requireDump(running.pid, to: "images", ["--link-remap"])
            let given = names(in: folder).filter { $0 != "elsewhere" }
            #expect(given.count == 1 && given.allSatisfy { $0.hasPrefix("link_remap.") }, "\(given)")
            let late = try world.restore("images", ["--action-script", "test $CRTOOLS_SCRIPT_ACTION != post-restore"])
            #expect(late.status == 1, "\(late)")
            #expect(names(in: folder).sorted() == ["elsewhere"] + given)
            try world.requireRestore("images")
            #expect(names(in: folder) == ["elsewhere"])
            #expect(running.check() == [])
            try world.succeed("kill", "-9", "\(running.pid)")
            #expect(eventually { !exists("\(world.proc)/\(running.pid)/fd/0") })
            let again = try world.restore("images")
            #expect(again.status == 1 && again.errors.contains("--link-remap"), "\(again)")
        }
    }

    @Test func moreThanMayBeKept() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "deleted", arguments: ["FOLDER"]), in: world)
            let finished = try world.dump(running.pid, to: "images", ["--ghost-limit", "8K"])
            #expect(finished.status == 1)
            #expect(finished.errors.contains("--ghost-limit") && finished.errors.contains("library"), "\(finished)")
            #expect(running.check() == [])
        }
    }

    /// A restore that fails late leaves neither names nor segments behind.
    @Test(arguments: [Subject(name: "deleted", arguments: ["FOLDER"]), Subject(name: "segments")])
    func aFailedRestoreLeavesNothing(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            try world.requireDump(running.pid, to: "images")
            // What the original has left of its own.
            try world.succeed("ipcrm", "--all=shm")
            let before = names(in: world.folder)
            let finished = try world.restore(
                "images", ["--action-script", "test $CRTOOLS_SCRIPT_ACTION != post-restore"])
            #expect(finished.status == 1, "\(finished)")
            #expect(names(in: world.folder).filter { !before.contains($0) } == [])
            #expect(try world.succeed("ipcs", "-m").split(separator: "\n").filter { $0.hasPrefix("0x") } == [])
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// A segment that is used outside of the tree, too, cannot be in two places.
    @Test func aSegmentThatOthersUse() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "segments"), in: world)
            let child = try #require(ProcessSnapshot.tree(world.proc, running.pid).last)
            let finished = try world.dump(child, to: "images")
            #expect(finished.status == 1)
            #expect(finished.errors.contains("times outside of the tree"), "\(finished)")
            #expect(running.check() == [])
        }
    }

    /// Memory that a process outside has, too: after a restore there would be two of it.
    @Test func memoryThatOthersShare() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "mappings", arguments: ["FOLDER/mapped"]), in: world)
            let child = try #require(ProcessSnapshot.tree(world.proc, running.pid).last)
            let finished = try world.dump(child, to: "images")
            #expect(finished.status == 1)
            #expect(finished.errors.contains("outside of the tree shares this memory"), "\(finished)")
            #expect(running.check() == [])
        }
    }
}
