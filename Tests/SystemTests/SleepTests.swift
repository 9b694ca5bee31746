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

    private static let calls = ["nanosleep", "clock_nanosleep", "poll", "futex"]
    /// In seconds.
    private static let (limit, waited) = (12.0, 8.0)

    /// Waits of which the program does not ask to be told the rest.
    private func waiting(_ call: String, in world: World) throws -> Int32 {
        let output = "\(call).out"
        let pid = try world.start(
            [Place.subject("sleeper"), "\(Int(Self.limit * 1000))", call], output: output)
        #expect(eventually { lines(world.path(output)) == ["ready"] })
        return pid
    }

    /// Such waits go on, too, where the kernel shows when a thread last ran.
    @Test(.enabled(if: exists("/proc/self/sched"), "needs a kernel with CONFIG_SCHED_DEBUG"))
    func theRestOfOtherWaits() throws {
        try withWorld { world in
            let pids = try Self.calls.map { try waiting($0, in: world) }
            usleep(UInt32(Self.waited * 1_000_000))
            for (call, pid) in zip(Self.calls, pids) {
                try world.requireDump(pid, to: call)
                try world.requireRestore(call)
                let at = now()
                // What a limit that begins anew would have left, and more.
                let isOver = eventually(seconds: Self.limit - 2) { lines(world.path("\(call).out")).count > 1 }
                #expect(isOver, "\(call) waits \(now() - at) s after the restore")
                #expect(lines(world.path("\(call).out")) == ["ready", "slept"], "\(call)")
                if call == Self.calls.first { #expect(now() - at > 0.2, "it was cut short") }
            }
        }
    }

    /// A handler ends them after the restore, as it would have before.
    @Test(arguments: calls)
    func aHandlerEndsOtherWaits(_ call: String) throws {
        try withWorld { world in
            let pid = try waiting(call, in: world)
            usleep(300_000)
            try world.requireDump(pid, to: "images")
            try world.requireRestore("images")
            usleep(100_000)
            world.signal(SIGUSR1, pid)
            #expect(eventually { lines(world.path("\(call).out")) == ["ready", "interrupted"] })
        }
    }

    /// A call that is made again and again is none that has waited for long.
    @Test func aRestoredWaitIsDumpedAgain() throws {
        try withWorld { world in
            let pid = try waiting("poll", in: world)
            for round in 1...3 {
                usleep(200_000)
                try world.requireDump(pid, to: "round\(round)")
                try world.requireRestore("round\(round)")
            }
            #expect(eventually(seconds: 20) { lines(world.path("poll.out")) == ["ready", "slept"] })
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
