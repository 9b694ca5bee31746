import Foundation
import Linux
import Objects
import Testing

/// Numbers of what tasks share, however good the guess is that they are found by.
@Suite(.enabled(if: geteuid() == 0), .timeLimit(.minutes(1)))
struct SharingIDsTests {
    private final class Sleepers {
        let processes: [Process]
        var pids: [Int32] { processes.map(\.processIdentifier) }

        init(_ count: Int) throws {
            processes = try (0..<count).map { _ in
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/bin/sleep")
                process.arguments = ["1000"]
                try process.run()
                return process
            }
        }

        deinit {
            for process in processes {
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
            }
        }
    }

    @Test func theGuessChangesNothing() throws {
        let sleepers = try Sleepers(9)
        let pids = sleepers.pids
        let order = SharingIDs(.memory, of: pids, order: []).order
        #expect(Set(order) == Set(pids))
        let guesses: [[Int32]] = [
            order, Array(order.reversed()), pids, Array(order.dropFirst(4)), [1, 2, 3], order + order, [pids[3]],
        ]
        for guess in guesses {
            let again = SharingIDs(.memory, of: pids, order: guess)
            #expect(again.numbers == pids.indices.map { UInt32($0 + 1) })
            #expect(again.order == order)
            #expect(try again.holder(with: pids[5]) == pids[5])
            #expect(try again.holder(with: getpid()) == nil)
        }
    }

    @Test func theSameHasOneNumberAndTheDeadHaveNone() throws {
        let sleepers = try Sleepers(2)
        let (one, other) = (sleepers.pids[0], sleepers.pids[1])
        let pids: [Int32?] = [nil, other, one, other, 0x3fff_ffff, one]
        let guesses: [[Int32]] = [[], [one, other], [other, one], [0x3fff_ffff, one]]
        for guess in guesses {
            #expect(SharingIDs(.descriptors, of: pids, order: guess).numbers == [nil, 1, 2, 1, nil, 2])
        }
    }
}
