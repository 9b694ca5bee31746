import Glibc
import Testing

/// Signals that arrive at any moment of a dump.
@Suite("Signal barrage", .enabled(if: geteuid() == 0, "needs root"))
struct SignalBarrageTests {
    /// None is lost and none comes twice, whatever Apus is doing with the target.
    @Test func dumpsInTheMiddleOfIt() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "barrage"), in: world)
            _ = try world.start([Place.subject("barrage"), "send", "\(running.pid)", "30000"], output: "sender.out")
            let sender = world.path("sender.out")
            var dumps = 0
            while lines(sender).isEmpty, dumps < 200 {
                try world.requireDump(running.pid, to: "images", ["--leave-running"])
                world.removeImages()
                dumps += 1
            }
            #expect(dumps >= 3, "too few dumps to say anything")
            // A sender waits while the queue of the target is full: how long it takes is the machine's affair.
            #expect(eventually(seconds: 180) { lines(sender) == ["sent"] })
            #expect(running.check() == [], "after \(dumps) dumps")
        }
    }
}
