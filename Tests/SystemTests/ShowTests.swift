import Glibc
import Testing

/// `apus show` tells what is in a directory of images, for people and for programs.
@Suite("Show", .enabled(if: geteuid() == 0, "needs root"))
struct ShowTests {
    @Test func theTreeItsMemoryAndItsFiles() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "files", arguments: ["FOLDER/files"]), in: world)
            let tree = ProcessSnapshot.tree(world.proc, running.pid)
            try world.requireDump(running.pid, to: "images")
            let shown = try world.apus(["show", world.path("images")])
            #expect(shown.status == 0, "\(shown)")
            for pid in tree { #expect(shown.output.contains("\(pid)"), "pid \(pid) is not shown: \(shown)") }
            #expect(shown.output.contains("files/plain"))
            #expect(shown.output.contains("files/append"))
            // Colours are for terminals, and what is in images must not steer one.
            #expect(!shown.output.contains("\u{1b}"))
            #expect(!shown.output.contains("with a line break") || !shown.output.contains("only\nwith"))
        }
    }

    @Test func asJSON() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "tree"), in: world)
            try world.requireDump(running.pid, to: "images")
            let shown = try world.apus(["show", "--json", world.path("images")])
            #expect(shown.status == 0, "\(shown)")
            try write(shown.output, to: world.path("shown.json"))
            let parser = try Command(["python3", "-m", "json.tool", world.path("shown.json")]).run()
            #expect(parser.status == 0 || parser.errors.contains("No such file"), "not JSON: \(parser)")
            #expect(shown.output.contains("\(running.pid)"))
        }
    }

    /// Every set of images made by CRIU can be shown, those that cannot be restored yet too.
    @Test func imagesMadeByCRIU() throws {
        let images = "\(Place.fixtures)/criu-4.2"
        let all = names(in: images).filter { exists("\(images)/\($0)/pstree.img") }
        #expect(all.count > 10)
        for name in all {
            let shown = try Command([Place.apus, "show", "\(images)/\(name)"]).run()
            #expect(shown.status == 0, "\(name): \(shown)")
            #expect(!shown.output.isEmpty)
        }
    }

    @Test func noImages() throws {
        let shown = try Command([Place.apus, "show", "/nowhere"]).run()
        #expect(shown.status == 1)
        #expect(shown.errors.contains("/nowhere"), "\(shown)")
    }
}
