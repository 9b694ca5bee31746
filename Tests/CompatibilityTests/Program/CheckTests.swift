import Foundation
import Testing

@testable import Compatibility

/// `apus check` on the kernel of the tests.
@Suite struct CheckTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test func reportAgreesWithItsStatus() throws {
        let people = try Program.run("check", in: directory)
        #expect(people.output.contains("Looks good") == (people.status == 0))
        #expect(people.output.hasPrefix("Kernel "))
        let programs = try Program.run("check --json", in: directory)
        let report = try object(programs.output)
        #expect(report["ok"] as? Bool == (programs.status == 0))
        let features = try #require(report["features"] as? [[String: Any]])
        #expect(features.count > 20)
        #expect(programs.status == people.status)
    }

    @Test func oneFeatureIsAnsweredByTheStatus() throws {
        // Every kernel that Apus supports has it.
        let present = try Program.run("check --feature memfd", in: directory)
        #expect(present.status == 0 && present.output == "Looks good.\n")
        let states = try #require(
            try object(Program.run("check --json", in: directory).output)["features"] as? [[String: Any]])
        for feature in states {
            let name = try #require(feature["name"] as? String)
            let run = try Program.run("check --feature=\(name)", in: directory)
            #expect((run.status == 0) == (feature["state"] as? String == "present"), "\(name)")
        }
    }

    @Test func unknownFeatureIsAMistake() throws {
        let run = try Program.run("check --feature memf --feature memfd", in: directory)
        #expect(run.status == 1)
        #expect(run.errors.contains("error[unknown-feature]"))
    }

    @Test func problemsAreJSONForAnyParser() throws {
        let hostile = Array("dump".utf8)
        let run = try Program.run(
            [hostile, Array("--json".utf8), [0x2d, 0x2d, 0x22, 0x5c, 0x0a, 0x1b, 0xff], Array("ä\u{2028}".utf8)],
            in: directory)
        #expect(run.status == 1)
        let problems = try #require(try object(run.output)["problems"] as? [[String: Any]])
        #expect(problems.compactMap { $0["code"] as? String } == ["unknown-option", "unexpected-argument"])
    }
}
