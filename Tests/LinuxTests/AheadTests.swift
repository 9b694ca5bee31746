import Glibc
import Synchronization
import Testing

@testable import Linux

@Suite("Results found out ahead", .timeLimit(.minutes(1))) struct AheadTests {
    /// Whoever asks first, and whether there is a thread or none, each number is found out once.
    @Test(arguments: [0, 1, 7, 500])
    func eachIsFoundOnce(_ count: Int) {
        for least in [1, Int.max] {
            let calls = Mutex([Int](repeating: 0, count: count))
            let ahead = Ahead(count, worthwhile: least) { number -> Int in
                calls.withLock { $0[number] += 1 }
                return number * number
            }
            // Not in order: some are asked for before the thread comes to them, some long after.
            let order = (0..<count).filter { $0 % 3 == 0 } + (0..<count).filter { $0 % 3 != 0 }.reversed()
            for number in order { #expect(ahead.take(number) == number * number) }
            #expect(calls.withLock { $0 } == [Int](repeating: 1, count: count))
        }
    }

    /// What nobody asks for any more keeps nobody waiting.
    @Test func endsEarly() {
        let begun = Atomic(0)
        do {
            let ahead = Ahead(10_000, worthwhile: 1) { number -> Int in
                begun.add(1, ordering: .relaxed)
                usleep(1000)
                return number
            }
            #expect(ahead.take(0) == 0)
        }
        let count = begun.load(ordering: .relaxed)
        #expect(count < 1000)
        usleep(20_000)
        #expect(begun.load(ordering: .relaxed) == count, "the thread has ended with it")
    }
}
