import Diagnostics
import Glibc
import Testing

@testable import Migration

@Suite("The program that reaches the other host", .timeLimit(.minutes(1))) struct RemoteShellTests {
    /// What is said to one that has ended is an error, and not the end of Apus by SIGPIPE.
    @Test func hasEndedBeforeAnythingIsSaid() throws {
        let shell = try RemoteShell(["true"], host: "there")
        usleep(200_000)
        let problem = #expect(throws: Problem.self) { try shell.wire.send(.hello, Array("x".utf8)) }
        #expect(problem?.code.rawValue == "connection-lost", "\(String(describing: problem))")
    }
}
