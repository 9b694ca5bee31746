import Glibc
import SystemPackage
import Testing

@testable import Compatibility

/// A dump that is to stop leaves its target alone, and does not wait for a script that hangs.
@Suite(.enabled(if: geteuid() == 0, "needs root")) struct TimeoutTests {
    @Test(.timeLimit(.minutes(1))) func timeoutEndsAScriptThatHangs() throws {
        let directory = try TemporaryDirectory()
        try directory.write("#!/bin/sh\nexec sleep 30\n", to: "hang")
        let script = directory.path.appending("hang").string
        _ = unsafe chmod(script, 0o755)
        let start = "setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $!"
        let shell = try Program.run(
            ["-c", start].map { Array($0.utf8) }, name: "sh", executable: "/bin/sh", in: directory)
        let target = try #require(Int32(shell.output.dropLast()))
        defer { kill(target, SIGKILL) }
        let began = ContinuousClock.now
        let run = try Program.run(
            "dump -t \(target) -D \(directory.path.string) --timeout 1 --action-script \(script)", in: directory)
        #expect(run.status == 1)
        #expect(run.errors.hasPrefix("error[timed-out]"))
        #expect(ContinuousClock.now - began < .seconds(15))
        #expect(kill(target, 0) == 0)
        #expect(!directory.has("inventory.img"))
    }
}
