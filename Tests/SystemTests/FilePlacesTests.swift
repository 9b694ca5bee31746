import Glibc
import Testing

/// Files on file systems that lie one over the other, and under names that others have by now.
@Suite("Places of files", .enabled(if: geteuid() == 0, "needs root"))
struct FilePlacesTests {
    /// How the folder of a subject is mounted.
    enum Mounting: String, CaseIterable {
        case tmpfs, bind, overlay

        /// - Returns: false where this kernel has no such file system.
        func make(in world: World) throws -> Bool {
            let place = world.path("place")
            switch self {
            case .tmpfs:
                try world.succeed("mkdir", place)
                try world.succeed("mount", "-t", "tmpfs", "none", place)
            case .bind:
                try world.succeed("mkdir", place, world.path("source"))
                try world.succeed("mount", "--bind", world.path("source"), place)
            case .overlay:
                let base = world.path("base")
                try world.succeed("mkdir", place, base)
                try world.succeed("mount", "-t", "tmpfs", "none", base)
                try world.succeed("mkdir", "\(base)/lower", "\(base)/upper", "\(base)/work")
                let layers = "lowerdir=\(base)/lower,upperdir=\(base)/upper,workdir=\(base)/work"
                return try world.command(["mount", "-t", "overlay", "-o", layers, "none", place]).run().status == 0
            }
            return true
        }
    }

    @Test(arguments: Mounting.allCases, ["files", "deleted", "fifos"])
    func mounted(_ mounting: Mounting, _ name: String) throws {
        guard let subject = Subject.all.first(where: { $0.name == name }) else { return }
        try withWorld { world in
            guard try mounting.make(in: world) else { return }
            var moved = subject
            moved.arguments = subject.arguments.map { $0.replacing("FOLDER", with: world.path("place")) }
            let running = try RunningSubject(moved, in: world)
            for round in 1...2 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)", running.dumpOptions)
                try world.requireRestore("images-\(round)", running.dumpOptions)
                #expect(running.changes(since: before) == [])
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// A file that was removed, and another made under its name: each stays what it is.
    @Test func aNameThatAnotherFileHas() throws {
        try withWorld { world in
            let file = world.path("file")
            let script = """
                printf 'old 1\\nold 2\\nold 3\\n' >\(file); exec 5<\(file); rm \(file); echo new >\(file); exec 6<>\(file)
                trap 'read -r line <&5; echo "$line, $(cat \(file))"' USR1
                echo ready
                while :; do sleep 0.05; done
                """
            let pid = try world.start(["bash", "-c", script], output: "out")
            try #require(eventually { text(world.path("out")) == "ready\n" })
            for round in 1...3 {
                try world.requireDump(pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                world.signal(SIGUSR1, pid)
                #expect(
                    eventually { lines(world.path("out")).last == "old \(round), new" }, "\(text(world.path("out")))")
                #expect(text(file) == "new\n")
                #expect(target(of: "\(world.proc)/\(pid)/fd/6") == file)
            }
        }
    }
}
