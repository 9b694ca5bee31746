import Glibc
import Testing

/// What a dump does to the network (Tests/Programs/tcp_locks.py), each case in a network namespace of its own.
@Suite("Locks of the network", .serialized, .enabled(if: geteuid() == 0, "needs root"))
struct NetworkLocksTests {
    /// `recover`: what is left of dumps is listed and removed; `bundle`: the same of bundles; `newcomers`: who asks for connections meanwhile gets them;
    /// `rebind`: sockets come back at another address; `scoped`: link-local addresses.
    @Test(
        .enabled(if: Programs.has("python3", "ip", "unshare"), "needs python3 and iproute2"), .timeLimit(.minutes(3)),
        arguments: ["recover", "bundle", "newcomers", "rebind", "scoped"])
    func locks(_ name: String) throws {
        try withWorld { world in
            let finished = try Command(
                ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "python3"]
                    + [Programs.path("tcp_locks.py"), Place.apus, world.path("locks"), name]
            ).run(seconds: 150)
            #expect(finished.status == 0 && finished.output.hasSuffix("OK\n"), "\(finished)")
        }
    }
}
