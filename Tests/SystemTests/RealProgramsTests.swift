import Glibc
import Testing

/// Unmodified programs of Debian, dumped and restored three times in the midst of work whose result is always the same
/// (Tests/Programs): what they print has to be what they print undisturbed.
@Suite("Real programs", .serialized, .enabled(if: geteuid() == 0, "needs root"))
struct RealProgramsTests {
    @Test(
        .enabled(if: Programs.has("python3"), "needs python3"), .enabled(if: Programs.hasNumpy, "needs python3-numpy"))
    func numpy() throws { try run(["python3", Programs.path("numpy_loop.py")]) }

    @Test(.enabled(if: Programs.has("python3"), "needs python3"))
    func asyncio() throws { try run(["python3", Programs.path("asyncio_tasks.py")]) }

    @Test(.enabled(if: Programs.has("node"), "needs node"))
    func node() throws { try run(["node", Programs.path("node_workers.js")]) }

    @Test(.enabled(if: Programs.has("java", "javac"), "needs a JDK"))
    func java() throws { try run(["java", "-Xmx64m", Programs.path("Threads.java")]) }

    @Test(.enabled(if: Programs.has("perl"), "needs perl"))
    func perl() throws { try run(["perl", Programs.path("perl_forks.pl")]) }

    @Test(.enabled(if: Programs.has("bash"), "needs bash"))
    func bash() throws { try run(["bash", Programs.path("bash_jobs.sh")]) }

    @Test(.enabled(if: Programs.has("gcc", "make"), "needs gcc and make"))
    func make() throws { try run(["bash", Programs.path("compile.sh")]) }

    /// Four at a time, with headers that are generated, a library, and programs that are run.
    @Test(.enabled(if: Programs.has("gcc", "make", "ar"), "needs gcc and make"))
    func aProjectInC() throws { try run(["bash", Programs.path("project.sh")]) }

    @Test(.enabled(if: Programs.has("xz", "tar"), "needs xz-utils and tar"))
    func xz() throws { try run(["bash", Programs.path("compress.sh")]) }

    /// And rsync, where there is one.
    @Test(.enabled(if: Programs.has("tar", "dd"), "needs tar"))
    func copies() throws { try run(["bash", Programs.path("copy.sh")]) }

    /// And inotifywait, where there is one.
    @Test(.enabled(if: Programs.has("tail"), "needs tail"))
    func followers() throws { try run(["bash", Programs.path("follow.sh")]) }

    @Test(.enabled(if: Programs.has("python3"), "needs python3"))
    func pythonSharedMemory() throws { try run(["python3", Programs.path("shared_memory.py")]) }

    /// asyncio, subprocesses and shared memory in one.
    @Test(.enabled(if: Programs.has("python3"), "needs python3"))
    func pythonWithEverything() throws { try run(["python3", Programs.path("everything.py")]) }

    @Test(.enabled(if: Programs.has("sqlite3"), "needs sqlite3"))
    func sqlite() throws { try run(["bash", Programs.path("sqlite.sh")], options: ["--file-locks"]) }

    @Test(.enabled(if: Programs.has("redis-server", "redis-benchmark", "redis-cli"), "needs redis-server"))
    func redis() throws { try run(["bash", Programs.path("redis.sh")]) }

    @Test(.enabled(if: Programs.has("nginx", "curl"), "needs nginx and curl"))
    func nginx() throws { try run(["bash", Programs.path("nginx.sh")]) }

    @Test(.enabled(if: exists("/usr/lib/postgresql") && Programs.has("setpriv"), "needs postgresql"))
    func postgresql() throws { try run(["bash", Programs.path("postgresql.sh")]) }

    /// Its reads and writes go through io_uring.
    @Test(
        .enabled(if: Programs.has("mariadbd", "mariadb", "setpriv"), "needs mariadb-server"),
        .enabled(if: text("/proc/sys/kernel/io_uring_disabled").hasPrefix("0"), "needs io_uring"))
    func mariadb() throws { try run(["bash", Programs.path("mariadb.sh")], options: ["--file-locks"]) }

    @Test(.enabled(if: Programs.has("stress-ng"), "needs stress-ng"))
    func stress() throws { try run(["bash", Programs.path("stress.sh")]) }

    @Test(.enabled(if: Programs.has("swiftc"), "needs swiftc"))
    func swiftConcurrency() throws {
        try withWorld { world in
            let program = world.path("concurrency")
            let compiled = try Command([
                "swiftc", "-O", "-parse-as-library", "-o", program, Programs.path("Concurrency.swift"),
            ]).run(seconds: 120)
            try #require(compiled.status == 0, "\(compiled)")
            try run([program])
        }
    }

    // MARK: Running

    private func run(_ command: [String], options: [String] = []) throws {
        let expected = try withWorld { world in try world.finish(try world.startProgram(command)) }
        try #require(expected.count >= 8, "too little is printed to place a dump: \(expected)")
        let got = try withWorld { world in
            let pid = try world.startProgram(command)
            for round in 1...3 {
                let enough = expected.count * round / 5
                try #require(
                    eventually(seconds: 60) { lines(world.path("out")).count >= enough },
                    "no progress before round \(round): \(text(world.path("out")))")
                try world.requireDump(pid, to: "images-\(round)", options)
                try world.requireRestore("images-\(round)", options)
            }
            return try world.finish(pid)
        }
        #expect(got == expected)
    }
}

/// What is installed.
enum Programs {
    static let search: String = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"

    static func path(_ name: String) -> String { Place.project + "/Tests/Programs/" + name }

    static func has(_ names: String...) -> Bool {
        names.allSatisfy { name in search.split(separator: ":").contains { exists("\($0)/\(name)") } }
    }

    static let hasNumpy = (try? Command(["python3", "-c", "import numpy"]).run(seconds: 30).status) == 0
}
