import Glibc
import Testing

/// `apus restore --dry-run` prints the plan and does nothing.
@Suite("Dry run", .enabled(if: geteuid() == 0, "needs root"))
struct DryRunTests {
    @Test func thePlanIsPrintedAndNothingIsMade() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "tree"), in: world)
            let tree = ProcessSnapshot.tree(world.proc, running.pid)
            try world.requireDump(running.pid, to: "images")
            let files = listing(world.folder).filter { !$0.contains(".log ") }
            let first = try world.restore("images", ["--dry-run"])
            #expect(first.status == 0, "\(first)")
            for pid in tree { #expect(first.output.contains("\(pid)"), "pid \(pid) is not in the plan: \(first)") }
            #expect(world.processes == [])
            #expect(listing(world.folder).filter { !$0.contains(".log ") } == files)
            // A plan is a value: the same images on the same host give the same one.
            #expect(try world.restore("images", ["--dry-run"]).output == first.output)
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    @Test func whatWouldFailIsTold() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "files", arguments: ["FOLDER/files"]), in: world)
            try world.requireDump(running.pid, to: "images")
            try world.succeed("rm", world.path("files/shared"))
            let finished = try world.restore("images", ["--dry-run"])
            #expect(finished.status == 1)
            #expect(finished.errors.contains("files/shared"), "\(finished)")
        }
    }
}
