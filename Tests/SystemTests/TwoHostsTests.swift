import Glibc
import Testing

/// A server moves to another host, which has taken over its address, and its client does not notice (Tests/Programs/two_hosts.py).
@Suite("Two hosts", .enabled(if: geteuid() == 0, "needs root"))
struct TwoHostsTests {
    @Test(.enabled(if: Programs.has("python3", "ip", "nsenter", "unshare"), "needs python3 and iproute2"))
    func aConnectionGoesOnAtAnotherHost() throws {
        try withWorld { world in
            let finished = try Command(
                ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "python3"]
                    + [Programs.path("two_hosts.py"), Place.apus, world.folder]
            ).run(seconds: 90)
            #expect(finished.status == 0 && finished.output.hasSuffix("OK\n"), "\(finished)")
        }
    }
}
