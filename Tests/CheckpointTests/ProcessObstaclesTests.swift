import Diagnostics
import Glibc
import Linux
import Objects
import Testing

@testable import Checkpoint

/// What a process itself has against being carried.
@Suite struct ProcessObstaclesTests {
    /// A kernel without PIDFD_THREAD reaches the descriptors of a process by its first thread alone.
    @Test func aLostLeader() throws {
        let seen = try #require(ProcessLook(KnownMappings(), ghostLimit: 0, linking: false).process(getpid()).process)
        let lost = SurveyedProcess(
            pid: seen.pid, eye: seen.pid + 1, stat: seen.stat, status: seen.status, threads: seen.threads,
            areas: seen.areas,
            files: seen.files, descriptors: seen.descriptors, places: seen.places, timers: seen.timers)
        #expect(ProcessObstacles.lostLeader(lost, true) == nil)
        #expect(ProcessObstacles.lostLeader(seen, false) == nil)
        let problem = try #require(ProcessObstacles.lostLeader(lost, false))
        #expect(problem.code == .unsupported && problem.object.pid == seen.pid && problem.remedy.contains("6.9"))
    }
}
