import Glibc
import Testing

/// The demo that the README promises does what it shows, leaves nothing behind, and says so when something fails.
@Suite("Demo", .enabled(if: geteuid() == 0, "needs root"))
struct DemoTests {
    @Test func itEndsWell() throws {
        let (finished, left) = try demo(Place.apus)
        #expect(finished.status == 0, "\(finished)")
        let numbers = finished.output.split { $0.isNewline }.compactMap { Int($0) }
        #expect(numbers.count >= 6 && numbers == Array(0..<numbers.count), "\(finished)")
        #expect(left == [])
    }

    @Test func itFailsWithWhatFails() throws {
        let (finished, left) = try demo("/bin/false")
        #expect(finished.status == 1, "\(finished)")
        #expect(finished.output.contains("The demo failed: the dump"), "\(finished)")
        #expect(left == [])
    }

    /// How it went and what it has left behind.
    private func demo(_ program: String) throws -> (Finished, [String]) {
        try withWorld { world in
            var command = Command(["\(Place.project)/scripts/demo.sh", program])
            command.environment = ["TMPDIR": world.folder]
            return (try command.run(seconds: 60), names(in: world.folder))
        }
    }
}
