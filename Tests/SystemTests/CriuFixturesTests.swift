import Glibc
import Testing

/// Images made by CRIU 4.2 are restored, and the programs in them find themselves whole.
@Suite(
    "Images made by CRIU", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Fixtures.hasItsPrograms, "needs the programs that the images are of: see Tests/Fixtures/README.md"),
    .enabled(if: Fixtures.hasItsProcessor, "needs AVX-512, which the programs in the images have found"))
struct CriuFixturesTests {
    /// Those that hold only what can be carried.
    @Test(
        arguments: [
            "count", "count-pty", "registers", "threads", "timers", "tree", "attributes", "memory", "files",
            "unixsockets", "tcp",
        ])
    func restoredAndContent(_ name: String) throws {
        let finished = try fixture(name)
        #expect(finished.status == 0, "\(finished)\n\(Self.log(name))")
        #expect(finished.output.hasSuffix("\(name): OK\n"), "\(finished)")
    }

    /// What is not built yet, and the word by which the refusal has to name it. One that is goes to the list above.
    static let refused = [
        (name: "namespaces", for: "root"), (name: "userns", for: "root"),
    ]

    @Test(arguments: refused)
    func refusedByName(_ name: String, for word: String) throws {
        let finished = try fixture(name)
        #expect(finished.status == 1, "\(finished)")
        let log = Self.log(name)
        #expect(log.contains("Error"), "\(finished)\n\(log)")
        #expect(log.lowercased().contains(word), "the refusal does not speak of a \(word):\n\(log)")
    }

    /// The images hold pids that are free on this host too, if nothing else has them.
    @Test func withoutNamespacesOfItsOwn() throws {
        let finished = try fixture("count", action: "restore-bare")
        #expect(finished.status == 0, "\(finished)\n\(Self.log("count"))")
    }

    private static let work = "/tmp/apus-fixtures-work"

    private func fixture(_ name: String, action: String = "restore") throws -> Finished {
        var command = Command(["\(Place.fixtures)/fixture.sh", action, name])
        command.environment = ["CRIU": Place.apus, "WORK": Self.work]
        _ = unsafe unlink("\(Self.work)/\(name)/restore.log")
        let finished = try command.run(seconds: 60)
        _ = try Command(["rm", "-rf", "/tmp/apus-fixtures/\(name)"]).run()
        return finished
    }

    private static func log(_ name: String) -> String {
        lines("\(work)/\(name)/restore.log").filter { $0.contains("Error") }.joined(separator: "\n")
    }
}

/// What the images need of the host.
private enum Fixtures {
    /// Images name the size and the build id of each program and library; another compiler or C library builds others.
    static let hasItsPrograms: Bool = {
        let programs = try? Command(["make", "-s", "-C", Place.fixtures, "check"]).run()
        let libraries = text("/etc/os-release").contains("VERSION_ID=\"12\"")
        return programs?.status == 0 && libraries
    }()

    static let hasItsProcessor = ["avx512f", "avx512bw", "avx512vl"].allSatisfy(text("/proc/cpuinfo").contains)
}
