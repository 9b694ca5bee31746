import Glibc
import Synchronization
import Testing

@testable import Diagnostics

@Suite struct ProgressTests {
    /// Collects what would go to the terminal.
    private final class Screen: Sendable {
        let text = Mutex("")
        var shown: String { text.withLock { $0 } }
    }

    @Test func staysSilentWithinTheFirstSecond() {
        let screen = Screen()
        let progress = Progress { text in screen.text.withLock { $0 += text } }
        for done in 0..<100 { progress.update("reading", done: UInt64(done), of: 100) }
        progress.finish()
        #expect(screen.shown == "")
    }

    @Test func drawsOneLineAfterASecondAndTakesItAway() async throws {
        let screen = Screen()
        let progress = Progress { text in screen.text.withLock { $0 += text } }
        try await Task.sleep(for: .milliseconds(1100))
        progress.update("reading", done: 1, of: 4)
        progress.update("reading", done: 2, of: 4)
        progress.finish()
        progress.finish()
        #expect(screen.shown == "\rreading: 1 of 4 (25 %)\u{1b}[K\r\u{1b}[K")
    }

    @Test func linesSayHowMuch() {
        #expect(Progress.line("x", done: 3, of: nil, unit: .items) == "x: 3")
        #expect(Progress.line("x", done: 5 << 20, of: 1 << 30, unit: .bytes) == "x: 5120 KiB of 1024 MiB (0 %)")
        #expect(Progress.line("x", done: .max, of: .max, unit: .items).hasSuffix("(100 %)"))
        #expect(Progress.line("x", done: 0, of: 0, unit: .items) == "x: 0")
    }
}

@Suite struct StatisticsTests {
    @Test func showsWhatItHas() {
        var statistics = Statistics()
        statistics.roundTrips = 7
        statistics.dump = .init()
        statistics.dump?.frozenTime = 1500
        statistics.dump?.pagesWritten = 20
        #expect(statistics.displayed.contains("Frozen time: 1500 us\n"))
        #expect(statistics.displayed.contains("Memory pages written: 20\n"))
        let json = statistics.json.text(indented: false)
        #expect(json.contains(#""frozen_time":1500"#) && json.contains(#""round_trips":7"#))
        #expect(!json.contains("restore_time"))
    }
}

/// Serialised: a process has only one disposition of a signal and one timer.
@Suite(.serialized) struct CancellationTests {
    @Test func signalIsNoticed() {
        // What runs the tests may ignore the signal, and what is ignored stays so.
        _ = signal(SIGTERM, SIG_DFL)
        Cancellation.install()
        defer { Cancellation.uninstall() }
        #expect(!Cancellation.requested)
        // To the process, not to this thread: the threads of the tests block signals.
        kill(getpid(), SIGTERM)
        for _ in 0..<500 where !Cancellation.requested { usleep(10_000) }
        #expect(Cancellation.problem?.code == .interrupted)
        #expect(throws: Problem.self) { try Cancellation.check() }
        Cancellation.reset()
        #expect(!Cancellation.requested)
    }

    @Test func ignoredSignalStaysIgnored() {
        _ = signal(SIGHUP, SIG_IGN)
        Cancellation.install()
        kill(getpid(), SIGHUP)
        usleep(50_000)
        #expect(!Cancellation.requested)
        Cancellation.uninstall()
        // Would end the tests, had it got its default meaning.
        kill(getpid(), SIGHUP)
        usleep(50_000)
    }

    @Test(.timeLimit(.minutes(1))) func deadlineEndsABlockingCall() {
        Cancellation.install()
        defer { Cancellation.uninstall() }
        Cancellation.setDeadline(seconds: 1)
        while !Cancellation.requested { usleep(50_000) }
        #expect(Cancellation.problem?.code == .timedOut)
        Cancellation.reset()
    }
}
