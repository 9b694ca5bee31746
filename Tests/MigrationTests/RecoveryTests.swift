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

    private func withFolder<Result>(_ body: (FilePath) throws -> Result) throws -> Result {
        let folder = FilePath("/tmp/apus-recovery-\(UInt64.random(in: .min ... .max))")
        try Files.makeDirectory(folder, mode: 0o700)
        defer {
            let remover = try? Subprocess.spawn(["rm", "-rf", folder.string])
            _ = try? remover.map { try Processes.wait(for: $0) }
        }
        return try body(folder)
    }

    /// - Returns: how the only migration was settled, and whether its record is still there.
    private func settle(in namespace: String) throws -> (outcome: Recovery.Outcome, isKept: Bool) {
        try withFolder { folder in try settle(in: namespace, folder) }
    }

    private func settle(in namespace: String, _ folder: FilePath) throws -> (Recovery.Outcome, Bool) {
        let journal = Journal(of: .departures, in: folder)
        let stat = try ProcessDirectory(Processes.current).stat()
        try journal.write(
            .init(
                uuid: Self.uuid, state: .asked, pid: 7, processes: [(Processes.current, stat.startTime)],
                peer: "there", command: ["false"], pidNamespace: namespace))
        let outcomes = try Recovery.settle(in: folder, logger: Logger(label: "test"))
        #expect(outcomes.count == 1)
        return (try #require(outcomes.first), try journal.record(Self.uuid) != nil)
    }

    /// A host that answers what it is not asked.
    private func host(answering state: String, _ folder: FilePath) throws -> [String] {
        let body = Array(#"{"state":"\#(state)"}"#.utf8)
        let file = folder.appending("answer")
        let opened = try Files.open(file, [.writeOnly, .create, .truncate])
        try Files.write(opened.raw, Frame.header(.fate, bodySize: body.count) + body)
        return ["sh", "-c", "cat \(file); cat >/dev/null"]
    }

    /// After another start of the host, a process with the pid and the start of the original is another one, and nothing runs on.
    @Test(arguments: ["aborted", "released"])
    func nothingIsLeftAfterAnotherStart(_ answer: String) throws {
        let other = try Subprocess.spawn(["sleep", "1000"])
        defer {
            try? Processes.kill(other, signal: SIGKILL)
            _ = try? Processes.wait(for: other)
        }
        try Processes.kill(other, signal: SIGSTOP)
        for _ in 0..<400 where try ProcessDirectory(other).stat().state != .stopped { usleep(5000) }
        try withFolder { folder in
            let journal = Journal(of: .departures, in: folder)
            try journal.write(
                .init(
                    uuid: Self.uuid, state: .asked, pid: other,
                    processes: [(other, try ProcessDirectory(other).stat().startTime)], peer: "there",
                    command: try host(answering: answer, folder), boot: "another"))
            let outcomes = try Recovery.settle(in: folder, logger: Logger(label: "test"))
            #expect(outcomes.map(\.state) == [answer == "aborted" ? .gone : .arrived])
            #expect(try journal.record(Self.uuid) == nil)
            #expect(try ProcessDirectory(other).stat().state == .stopped, "it was none of the tree")
        }
    }

    /// Of a namespace of which nobody is seen nothing is left where everybody could be seen, and only there.
    @Test func whatCannotBeSeenIsNotTakenForGone() throws {
        let record = Journal.Record(
            uuid: Self.uuid, state: .asked, pid: 7, processes: [(7, 7)], peer: "there", command: [],
            pidNamespace: "pid:[1]")
        #expect(Originals.place(record, seesWholeHost: true) == .nowhere)
        #expect(Originals.place(record, seesWholeHost: false) == .outOfSight)
    }

    /// Nothing may be made of an original in doubt, nor of a tree that it is in: there would be two.
    @Test func originalsInDoubt() throws {
        let parent = try Subprocess.spawn(["sh", "-c", "sleep 1000 & wait"])
        defer {
            for child in (try? Procfs.live.children(of: parent)) ?? [] { try? Processes.kill(child, signal: SIGKILL) }
            try? Processes.kill(parent, signal: SIGKILL)
            _ = try? Processes.wait(for: parent)
        }
        var child: Int32?
        for _ in 0..<400 where child == nil {
            usleep(5000)
            child = try Procfs.live.children(of: parent).first
        }
        let original = try #require(child)
        try withFolder { folder in
            let journal = Journal(of: .departures, in: folder)
            func note(_ start: UInt64, boot: String? = nil) throws {
                try journal.write(
                    .init(
                        uuid: Self.uuid, state: .asked, pid: original, processes: [(original, start)], peer: "there",
                        command: [], boot: boot))
            }
            try Doubt.check(original, in: folder)
            let start = try ProcessDirectory(original).stat().startTime
            try note(start)
            for pid in [original, parent] {
                let problem = #expect(throws: Problem.self) { try Doubt.check(pid, in: folder) }
                #expect(problem?.code == .unsettled && problem?.object.pid == original)
                #expect(problem?.remedy.contains("apus recover") == true)
            }
            try Doubt.check(1, in: folder.appending("none"))
            // Others that had the pid.
            try note(start + 1)
            try Doubt.check(original, in: folder)
            try note(start, boot: "another")
            try Doubt.check(original, in: folder)
        }
    }

    /// What cannot be read is not taken for absent: the other host would be told that the tree will not run here.
    @Test(arguments: ["{", "{}", ""])
    func aRecordThatCannotBeRead(_ text: String) throws {
        try withFolder { folder in
            for side in [Journal.Side.departures, .arrivals] {
                let place = folder.appending(side.rawValue)
                try Files.makeDirectory(place, mode: 0o700)
                let opened = try Files.open(place.appending(Self.uuid + ".json"), [.writeOnly, .create])
                try Files.write(opened.raw, Array(text.utf8))
            }
            let recovery = #expect(throws: Problem.self) {
                try Recovery.settle(in: folder, logger: Logger(label: "test"))
            }
            #expect(recovery?.code == .stateUnreadable)
            #expect(recovery?.object.path == folder.appending("departures/\(Self.uuid).json").string)
            let verdict = #expect(throws: Problem.self) {
                try Verdicts(.init(stateDirectory: folder)).decide(Self.uuid)
            }
            #expect(verdict?.code == .stateUnreadable)
        }
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
