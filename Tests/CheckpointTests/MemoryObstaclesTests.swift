import Diagnostics
import Glibc
import Linux
import Objects
import Testing

@testable import Checkpoint

/// What shared memory says of processes outside of a tree.
@Suite("Memory shared with others", .serialized)
struct MemoryObstaclesTests {
    /// Between the look at the mappings and the one at the segments the tree itself may attach one more: a child that it has
    /// just had, for instance. While it runs that is nobody outside; where it stands still, nothing can have come.
    @Test func attachedBetweenTwoLooks() throws {
        let id = shmget(IPC_PRIVATE, 4096, 0o600)
        try #require(id >= 0)
        defer { _ = shmctl(id, IPC_RMID, nil) }
        let first = try unsafe #require(shmat(id, nil, 0))
        defer { _ = unsafe shmdt(first) }
        let seen = try #require(ProcessLook(KnownMappings(), ghostLimit: 0, linking: false).process(getpid()).process)
        let second = try unsafe #require(shmat(id, nil, 0))
        defer { _ = unsafe shmdt(second) }
        #expect(MemoryObstacles.find([seen], [:], isRunning: true) == [])
        let standing = MemoryObstacles.find([seen], [:], isRunning: false)
        #expect(standing.map(\.code) == [.leadsOutside])
        #expect(standing.first?.summary.contains("attached 1 times outside") == true)
    }
}
