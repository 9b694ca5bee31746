import Glibc
import Testing

/// The demo that the README promises does what it shows, leaves nothing behind, and says so when something fails.
@Suite("Demo", .enabled(if: geteuid() == 0, "needs root"))
struct DemoTests {
    @Test func itEndsWell() throws {
        let finished = try Command(["\(Place.project)/scripts/demo.sh", Place.apus]).run(seconds: 60)
        #expect(finished.status == 0, "\(finished)")
        let numbers = finished.output.split { $0.isNewline }.compactMap { Int($0) }
        #expect(numbers.count >= 6 && numbers == Array(0..<numbers.count), "\(finished)")
        #expect(names(in: "/tmp").filter { $0.hasPrefix("apus-demo.") } == [])
    }

    @Test func itFailsWithWhatFails() throws {
        let finished = try Command(["\(Place.project)/scripts/demo.sh", "/bin/false"]).run(seconds: 60)
        #expect(finished.status == 1, "\(finished)")
        #expect(finished.output.contains("The demo failed: the dump"), "\(finished)")
        #expect(names(in: "/tmp").filter { $0.hasPrefix("apus-demo.") } == [])
    }
}
