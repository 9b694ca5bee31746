import Diagnostics
import Glibc
import Linux
import Logging
import SystemPackage
import Testing

@testable import Migration

/// Migrations that left from a pid namespace are none of those of the host: their pids mean others there.
@Suite("Recovery", .enabled(if: geteuid() == 0, "needs root"), .timeLimit(.minutes(1)))
struct RecoveryTests {
    private static let uuid = "01234567-89ab-4cde-8f01-23456789abcd"

    /// - Returns: how the only migration was settled, and whether its record is still there.
    private func settle(in namespace: String) throws -> (outcome: Recovery.Outcome, isKept: Bool) {
        let folder = FilePath("/tmp/apus-recovery-\(UInt64.random(in: .min ... .max))")
        try Files.makeDirectory(folder, mode: 0o700)
        defer {
            let remover = try? Subprocess.spawn(["rm", "-rf", folder.string])
            _ = try? remover.map { try Processes.wait(for: $0) }
        }
        let journal = Journal(of: .departures, in: folder)
        let stat = try ProcessDirectory(Processes.current).stat()
        try journal.write(
            .init(
                uuid: Self.uuid, state: .asked, pid: 7, processes: [(Processes.current, stat.startTime)],
                peer: "there", command: ["false"], pidNamespace: namespace))
        let outcomes = try Recovery.settle(in: folder, logger: Logger(label: "test"))
        #expect(outcomes.count == 1)
        return (try #require(outcomes.first), journal.record(Self.uuid) != nil)
    }

    @Test func originalsInAnotherNamespaceAreLeftToIt() throws {
        let outside = try Subprocess.spawn(["unshare", "-p", "-f", "--kill-child", "sleep", "1000"])
        defer {
            try? Processes.kill(outside, signal: SIGKILL)
            _ = try? Processes.wait(for: outside)
        }
        var namespace = ""
        for _ in 0..<400 where namespace.isEmpty {
            usleep(5000)
            guard let child = try? Procfs.live.children(of: outside).first else { continue }
            let own = Processes.pidNamespace(of: "\(child)")
            if own != Processes.pidNamespace(of: "self") { namespace = own }
        }
        try #require(!namespace.isEmpty)
        let (outcome, isKept) = try settle(in: namespace)
        #expect(outcome.state == .unsettled && isKept)
        let remedy = outcome.problem?.remedy ?? ""
        #expect(remedy.contains("nsenter -t ") && remedy.contains("apus recover"), "\(outcome)")
    }

    /// The other host is asked where the namespace is this one, or has gone.
    @Test(arguments: ["pid:[1]", ""])
    func otherOriginalsAreAskedAbout(_ namespace: String) throws {
        let (outcome, isKept) = try settle(in: namespace)
        // Nobody answers.
        #expect(outcome.state == .unsettled && isKept)
        #expect(outcome.problem?.remedy.contains("nsenter") == false, "\(outcome)")
    }
}
