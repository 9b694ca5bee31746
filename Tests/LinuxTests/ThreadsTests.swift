import Glibc
import Synchronization
import Testing

@testable import Linux

@Suite("Threads that help", .timeLimit(.minutes(1)))
struct ThreadsTests {
    @Test(arguments: [0, 1, 7, 8, 100, 1001]) func partsComeInOrder(_ count: Int) {
        let calls = Atomic(0)
        let parts = Workers.map(count) { number in
            calls.add(1, ordering: .relaxed)
            return number * number
        }
        #expect(parts == (0..<count).map { $0 * $0 })
        #expect(calls.load(ordering: .relaxed) == count)
    }

    /// Signals are for the thread that traces.
    @Test func aHelperHasAllSignalsBlocked() {
        let blocked = Mutex<[Int32]>([])
        let helper = HelperThread({
            var set = sigset_t()
            unsafe pthread_sigmask(SIG_SETMASK, nil, &set)
            let found = [SIGINT, SIGTERM, SIGALRM, SIGCHLD].filter { unsafe sigismember(&set, $0) == 1 }
            blocked.withLock { $0 = found }
        })
        helper?.join()
        #expect(blocked.withLock { $0 } == [SIGINT, SIGTERM, SIGALRM, SIGCHLD])
    }

    @Test func aSemaphoreLetsThroughWhatWasCounted() {
        let (ask, answer) = (Semaphore(), Semaphore(1))
        let heard = Atomic(0)
        let helper = HelperThread({
            for _ in 0..<1000 {
                ask.wait()
                heard.add(1, ordering: .relaxed)
                answer.signal()
            }
        })
        answer.wait()
        for number in 0..<1000 {
            #expect(heard.load(ordering: .relaxed) == number)
            ask.signal()
            answer.wait()
        }
        helper?.join()
    }
}
