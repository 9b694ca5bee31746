import Glibc
import Testing

/// A sleep goes on with the time that was left, however often it is dumped.
@Suite("Sleeps", .enabled(if: geteuid() == 0, "needs root"), .serialized)
struct SleepTests {
    private static let sleep = 3.0
    /// Before the dump.
    private static let asleep = 2.0

    private func restored(_ world: World, dumpsBefore: Int = 0) throws -> (pid: Int32, output: String, at: Double) {
        let output = world.path("sleeper.out")
        let pid = try world.start(
            [Place.subject("sleeper"), "\(Int(Self.sleep * 1000))"], output: "sleeper.out")
        #expect(eventually { lines(output) == ["ready"] })
        let began = now()
        for _ in 0..<dumpsBefore { try world.requireDump(pid, to: "earlier", ["--leave-running"]) }
        while now() - began < Self.asleep { usleep(10_000) }
        try world.requireDump(pid, to: "images")
        try world.requireRestore("images")
        return (pid, output, now())
    }

    @Test(arguments: [0, 2])
    func theRestIsSlept(dumpsBefore: Int) throws {
        try withWorld { world in
            let sleeper = try restored(world, dumpsBefore: dumpsBefore)
            #expect(eventually(seconds: 10) { lines(sleeper.output).count == 2 })
            #expect(lines(sleeper.output).last == "slept")
            let rest = now() - sleeper.at
            #expect(rest < Self.sleep - 1, "it slept \(rest) s after the restore")
            #expect(rest > 0.2)
        }
    }

    /// A handler ends it, and what is left then is told.
    @Test func aHandlerEndsIt() throws {
        try withWorld { world in
            let sleeper = try restored(world)
            usleep(100_000)
            world.signal(SIGUSR1, sleeper.pid)
            #expect(eventually { lines(sleeper.output).count == 2 })
            let said = lines(sleeper.output).last ?? ""
            #expect(said.hasPrefix("interrupted left "))
            let left = Int(said.split(separator: " ").last ?? "") ?? -1
            #expect((1...1000).contains(left), "\(said)")
        }
    }
}
