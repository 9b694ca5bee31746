import Glibc
import Testing

/// Pages that processes share by copy-on-write are stored once and are shared again after the restore.
@Suite("Memory shared by copy-on-write", .enabled(if: geteuid() == 0, "needs root"))
struct CopyOnWriteTests {
    /// 16 MiB and ten children (some have one of their own): stored or restored each for itself it would be 200 MiB.
    @Test func neitherImagesNorMemoryGrow() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "family-memory", arguments: ["16", "10"]), in: world)
            for round in 1...2 {
                let before = Self.proportional(world)
                try #require(before >= 16 << 10)
                let images = "images-\(round)"
                try world.requireDump(running.pid, to: images)
                let stored = listing(world.path(images)).compactMap {
                    $0.split(separator: " ").last.flatMap { Int($0) }
                }
                .reduce(0, +)
                #expect(stored < (before << 10) + (2 << 20), "\(stored) bytes of images for \(before) KiB")
                try world.requireRestore(images)
                let after = Self.proportional(world)
                #expect(after < before + (1 << 10), "\(after) KiB after the restore, \(before) before the dump")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// A dump that replaces one with shared pages leaves none of them behind.
    @Test func anOlderDumpIsReplaced() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "family-memory", arguments: ["1", "2"]), in: world)
            let before = Self.proportional(world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(Self.proportional(world) < before + 256, "the dump made copies in the processes")
            let first = names(in: world.path("images/shared"))
            #expect(first.contains("pages-1.img"))
            #expect(target(of: world.path("images/parent")) == "shared")
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(names(in: world.path("images/shared")) == first)
            world.killAll()
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// Processes are as much of one memory after a dump as before. Large enough for twins.
    @Test func theOriginalStaysShared() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "family-memory", arguments: ["24", "3"]), in: world)
            let tasks = world.processes
            let before = Self.proportional(world)
            try world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(text(world.path("images/dump.log")).contains("pages of the twins"))
            #expect(eventually(seconds: 2) { world.processes == tasks }, "a twin is left: \(world.processes)")
            let after = Self.proportional(world)
            #expect(after < before + 512, "\(after) KiB after the dump, \(before) before")
            #expect(running.check() == [])
            world.killAll()
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// What is taken along of a file that the program writes to is what it was when the tree stood still, as its memory is.
    @Test(.enabled(if: Programs.has("python3"), "needs python3")) func filesAreTakenAlongAtTheFreeze() throws {
        try withWorld { world in
            let code = """
                import mmap, os, sys
                ballast = bytearray(b'x') * (64 << 20)
                file = open(sys.argv[1], 'r+b')
                shared = mmap.mmap(file.fileno(), 4096)
                log = open(sys.argv[2], 'ab', buffering=0)
                counter = 0
                print('ready', flush=True)
                while True:
                    counter += 1
                    shared[0:8] = counter.to_bytes(8, 'little')
                    log.write(b'%d\\n' % counter)
                    if os.path.exists(sys.argv[2] + '.end'): break
                print(counter, flush=True)
                """
            let (mapped, log) = (world.path("mapped"), world.path("log"))
            try write([UInt8](repeating: 0, count: 4096), to: mapped)
            let pid = try world.start(["python3", "-c", code, mapped, log], output: "out")
            try #require(eventually { lines(log).count > 1000 })
            try world.requireDump(pid, to: "images", ["--leave-running", "--ship", "all"])
            let said = text(world.path("images/dump.log"))
            #expect(said.contains("pages of the twins") && !said.contains("is not taken along"), "\(said)")
            world.killAll()
            // On a host that has neither file.
            try world.succeed("rm", log, mapped)
            try world.requireRestore("images", ["--overwrite-files"])
            try write("", to: log + ".end")
            #expect(eventually { lines(world.path("out")).count == 2 })
            let counter = try #require(lines(world.path("out")).last.flatMap { Int($0) })
            #expect(lines(log) == (1...counter).map(String.init), "\(lines(log).count) lines, \(counter) counted")
            #expect(bytes(at: mapped)?.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) } == counter)
        }
    }

    /// What is missing or cut off is found before any process is made.
    @Test func aMissingPageOfManyIsFound() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "family-memory", arguments: ["1", "2"]), in: world)
            try world.requireDump(running.pid, to: "images")
            let path = world.path("images/shared/pages-1.img")
            let pages = try #require(bytes(at: path))
            try write(Array(pages.dropLast()), to: path)
            let restore = try world.restore("images")
            #expect(restore.status != 0 && restore.errors.contains("shared/pages-1.img"), "\(restore)")
            #expect(world.processes == [])
            try write(pages, to: path)
            try world.requireRestore("images")
            #expect(running.check() == [])
        }
    }

    /// The sum of what each process has of its private memory, in KiB.
    private static func proportional(_ world: World) -> Int {
        world.processes.reduce(0) { sum, pid in
            let line = lines("\(world.proc)/\(pid)/smaps_rollup").first { $0.hasPrefix("Pss_Anon:") }
            return sum + (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0)
        }
    }
}
