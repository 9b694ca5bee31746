// Tasks, an actor, a task group and an asynchronous stream, with a result that does not depend on their order.
import Glibc

actor Ledger {
    private var total: UInt64 = 0
    private var entries = 0
    func add(_ value: UInt64) {
        total &+= value
        entries += 1
    }
    var state: (UInt64, Int) { (total, entries) }
}

func mixed(_ seed: UInt64, rounds: Int) -> UInt64 {
    var x = seed &+ 0x9e37_79b9_7f4a_7c15
    for _ in 0..<rounds {
        x ^= x >> 30
        x = x &* 0xbf58_476d_1ce4_e5b9
        x ^= x >> 27
        x = x &* 0x94d0_49bb_1331_11eb
        x ^= x >> 31
    }
    return x
}

@main enum Main {
    static func main() async throws {
        setvbuf(stdout, nil, _IOLBF, 0)
        let ledger = Ledger()
        for round in 0..<30 {
            await withTaskGroup(of: UInt64.self) { group in
                for task in 0..<8 {
                    group.addTask {
                        await ledger.add(UInt64(task))
                        return mixed(UInt64(round * 8 + task), rounds: 200_000)
                    }
                }
                for await value in group { await ledger.add(value) }
            }
            try await Task.sleep(nanoseconds: 30_000_000)
            print("round", round, await ledger.state)
        }
        let stream = AsyncStream<Int> { continuation in
            Task {
                for number in 0..<50 {
                    try? await Task.sleep(nanoseconds: 2_000_000)
                    continuation.yield(number)
                }
                continuation.finish()
            }
        }
        var sum = 0
        for await number in stream { sum += number }
        print("sum", sum)
    }
}
