import Glibc
import Testing

/// A program whose dynamic loader waits for one of its libraries when the dump comes.
@Suite("Programs that are being loaded", .enabled(if: geteuid() == 0, "needs root"))
struct LoadingProgramsTests {
    /// Starts a program that is to have a library which does not come: a FIFO in its place keeps the loader waiting.
    private func startLoading(_ world: World, _ program: [String]) throws -> (pid: Int32, library: String) {
        let library = world.path("library.so")
        try #require(unsafe mkfifo(library, 0o644) == 0)
        let pid = try world.start(["env", "LD_PRELOAD=\(library)"] + program, output: "out")
        let name = program[0].split(separator: "/").last ?? ""
        try #require(eventually { world.isReleased(pid, named: "\(name)") && state(pid, world) == "S" })
        #expect(libraries(pid, world) == [])
        return (pid, library)
    }

    private func state(_ pid: Int32, _ world: World) -> Substring? {
        text("\(world.proc)/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("State:") }?
            .split(separator: "\t").last?.prefix(1)
    }

    private func libraries(_ pid: Int32, _ world: World) -> [String] {
        lines("\(world.proc)/\(pid)/maps").filter { $0.contains("/libc.so") || $0.contains("/libc-") }
    }

    /// A dynamically linked program of so many bits.
    private func program(bits: Int, in world: World) throws -> [String] {
        if bits == 64 { return ["/bin/sleep", "100"] }
        let (source, built) = (world.path("program.c"), world.path("program"))
        try write("#include <unistd.h>\nint main(void) { return sleep(100); }\n", to: source)
        let compiled = try Command(["gcc", "-m32", "-o", built, source]).run()
        try #require(compiled.status == 0, "\(compiled)")
        return [built]
    }

    private static let widths = Subject.compat.isEmpty ? [64] : [64, 32]

    /// It is let go until the library has come, and is dumped then.
    @Test(arguments: widths) func theLibraryComes(bits: Int) throws {
        // A third of a second is waited for it, in which a busy machine may not come to bring it.
        for _ in 1...5 where try isWaitedFor(bits: bits) { return }
        Issue.record("it never came in time")
    }

    /// - Returns: false where it did not come in time.
    private func isWaitedFor(bits: Int) throws -> Bool {
        try withWorld { world in
            let program = try program(bits: bits, in: world)
            let (pid, library) = try startLoading(world, program)
            let log = world.path("images/dump.log")
            // An empty library is none: the loader says so and goes on without.
            let giver = try Command([
                "sh", "-c", "until grep -qs 'just being loaded' \(log); do sleep 0.01; done; : > \(library)",
            ]).start()
            defer { _ = giver.stop() }
            try world.requireDump(pid, to: "images")
            let said = text(log)
            #expect(said.contains("so that what was under way could arrive"), "\(said)")
            if said.contains("would go on with those") { return false }
            try world.requireRestore("images")
            #expect(libraries(pid, world) != [])
            return true
        }
    }

    /// It is dumped as it is in the end, and that is said.
    @Test func theLibraryDoesNotCome() throws {
        try withWorld { world in
            let (pid, library) = try startLoading(world, ["/bin/sleep", "100"])
            let dump = try world.dump(pid, to: "images")
            try #require(dump.status == 0, "\(dump)")
            let said = text(world.path("images/dump.log"))
            #expect(said.contains("process \(pid) (sleep): its libraries are just being loaded"), "\(said)")
            try world.requireRestore("images")
            #expect(libraries(pid, world) == [])
            #expect(try Command(["sh", "-c", ": > \(library)"]).run(seconds: 10).status == 0)
            #expect(eventually { libraries(pid, world) != [] && state(pid, world) == "S" })
        }
    }

    /// Where the loader is another, it would map libraries that do not fit the copy that came along.
    @Test(.enabled(if: Programs.has("gcc"), "needs gcc")) func notWhereTheLoaderIsAnother() throws {
        try withWorld { world in
            let (source, built, loader) = (world.path("program.c"), world.path("program"), world.path("ld.so"))
            try write("#include <unistd.h>\nint main(void) { return sleep(100); }\n", to: source)
            let made = try Command([
                "sh", "-c",
                "cp /lib64/ld-linux-x86-64.so.2 \(loader) && gcc -o \(built) \(source) -Wl,--dynamic-linker=\(loader)",
            ]).run()
            try #require(made.status == 0, "\(made)")
            let (pid, _) = try startLoading(world, [built])
            try world.requireDump(pid, to: "images", ["--ship", "auto", "--file", "\(loader)=exact"])
            let changed = try Command([
                "sh", "-c", "cp \(loader) \(loader).new && echo >> \(loader).new && mv \(loader).new \(loader)",
            ]).run()
            try #require(changed.status == 0, "\(changed)")
            let check = try world.apus(["check", world.path("images")])
            let restore = try world.restore("images")
            for refused in [check, restore] {
                #expect(refused.status != 0)
                #expect("\(refused)".contains("while its libraries were being loaded"), "\(refused)")
                #expect("\(refused)".contains(loader), "\(refused)")
            }
            // The program itself may be another's.
            try #require(try Command(["mv", built, built + ".gone"]).run().status == 0)
            try #require(try Command(["cp", "/lib64/ld-linux-x86-64.so.2", loader]).run().status == 0)
            #expect(try world.apus(["check", world.path("images"), "--state-dir", world.path("state")]).status == 0)
        }
    }

    /// One that is loaded is not waited for, nor one that needs no loader.
    @Test(arguments: [["/bin/sleep", "100"], [Place.subject("sleeper"), "100000"]])
    func loadedLongAgo(_ program: [String]) throws {
        try withWorld { world in
            let pid = try world.start(program, output: "out")
            try #require(eventually { state(pid, world) == "S" })
            try world.requireDump(pid, to: "images")
            let said = text(world.path("images/dump.log"))
            #expect(!said.contains("being loaded"), "\(said)")
        }
    }
}
