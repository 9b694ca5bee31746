import Glibc
import Testing

/// Unmodified programs that move to another world, back, and away again in the midst of their work: what they print has to be
/// what they print undisturbed.
///
/// Both worlds see the same files: what an original holds until it ends, such as locks and names of sockets, is in the way there as
/// it is not on another host.
@Suite(
    "Migrating programs", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3"), "needs python3"))
struct MigratingProgramsTests {
    @Test(.enabled(if: Programs.hasNumpy, "needs python3-numpy"))
    func numpy() throws { try move(["python3", Programs.path("numpy_loop.py")]) }

    @Test(.enabled(if: Programs.has("perl"), "needs perl"))
    func perl() throws { try move(["perl", Programs.path("perl_forks.pl")]) }

    @Test(.enabled(if: Programs.has("gcc", "make"), "needs gcc and make"))
    func make() throws { try move(["bash", Programs.path("compile.sh")]) }

    @Test(.enabled(if: Programs.has("bash"), "needs bash"))
    func bash() throws { try move(["bash", Programs.path("bash_jobs.sh")]) }

    private func move(_ command: [String], options: [String] = []) throws {
        let expected = try withWorld { world in try world.finish(try world.startProgram(command)) }
        try #require(expected.count >= 8, "too little is printed to place a move: \(expected)")
        let got = try withJourney { journey in
            let pid = try journey.source.startProgram(command)
            for round in 1...3 {
                let enough = expected.count * round / 5
                try #require(
                    eventually(seconds: 60) { lines(journey.source.path("out")).count >= enough },
                    "no progress before move \(round): \(text(journey.source.path("out")))")
                let moved = round == 2 ? try journey.migrateBack(pid, options) : try journey.migrate(pid, options)
                try #require(moved.status == 0, "move \(round): \(moved)\n\(journey.logThere)")
            }
            return try journey.target.finish(pid, of: journey.source)
        }
        #expect(got == expected)
    }
}
