import Glibc
import Testing

/// A few seconds of what `make fuzz` does for longer: damaged images, texts of `/proc`, configuration files and command
/// lines end in a value or in an error, and in nothing else.
@Suite("Fuzzing")
struct FuzzTests {
    private static let fuzzer = Place.besideTests("Fuzzer")

    @Test(arguments: ["images", "proc", "configuration", "command-line", "json"])
    func damagedInput(_ target: String) throws {
        let run = try fuzz(["run", target, "--seed", "20261128", "--duration", "3"])
        #expect(run.status == 0, "\(run)")
        let count = run.output.split(separator: " ").first.flatMap { Int($0) } ?? 0
        #expect(count > 5, "hardly anything was tried: \(run)")
    }

    /// Images of this version beside those of CRIU.
    @Test(.enabled(if: geteuid() == 0, "needs root"))
    func damagedImagesOfThisVersion() throws {
        try withWorld { world in
            try world.succeed("mkdir", world.path("corpus"))
            for name in ["events", "settings", "timers", "signals"] {
                let running = try RunningSubject(
                    Subject(name: name, arguments: name == "events" ? ["FOLDER/watched"] : []), in: world)
                try world.requireDump(running.pid, to: "corpus/\(name)")
            }
            let run = try fuzz(
                ["run", "images", "json", "--seed", "7", "--duration", "6", "--corpus", world.path("corpus")])
            #expect(run.status == 0, "\(run)")
        }
    }

    /// One that does harm is found, told with its number, and does it again.
    @Test func harmIsFound() throws {
        let run = try fuzz(["run", "harmful", "--seed", "3", "--iterations", "40"])
        #expect(run.status == 1, "\(run)")
        for reason in ["Fatal error", "VIOLATION: more memory", "VIOLATION: thrown"] {
            #expect(run.output.contains(reason), "\(reason): \(run)")
        }
        let found = try #require(run.output.firstMatch(of: /(?m)^harmful ([0-9]+):/))
        let again = try fuzz(["once", "harmful", "--seed", "3", "--index", String(found.output.1)])
        #expect(again.status != 0, "\(again)")
    }

    private func fuzz(_ arguments: [String]) throws -> Finished {
        try Command([Self.fuzzer] + arguments + ["--no-traces"]).run(seconds: 120)
    }
}
