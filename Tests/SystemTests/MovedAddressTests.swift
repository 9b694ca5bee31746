import Glibc
import Testing

/// A server moves to another host of its segment with its address while its connections are busy, whatever breaks
/// (Tests/Programs/move_address.py).
@Suite(
    "Moved addresses", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3", "ip", "nsenter", "unshare"), "needs python3 and iproute2"))
struct MovedAddressTests {
    @Test(arguments: ["4", "6"]) func connectionsGoOn(_ family: String) throws { try run(family, "moves") }

    @Test(arguments: ["4", "6"]) func whatCannotBeIsRefusedBefore(_ family: String) throws {
        try run(family, "refused")
    }

    @Test(.timeLimit(.minutes(5))) func theLinkIsCut() throws { try run("4", "fails") }

    @Test(.timeLimit(.minutes(5)), arguments: ["4", "6"]) func theSourceIsKilled(_ family: String) throws {
        try run(family, "source-killed")
    }

    @Test(.timeLimit(.minutes(5)), arguments: ["4", "6"]) func theDestinationIsKilled(_ family: String) throws {
        try run(family, "destination-killed")
    }

    private func run(_ family: String, _ mode: String) throws {
        try withWorld { world in
            let finished = try Command(
                ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "python3"]
                    + [Programs.path("move_address.py"), Place.apus, world.folder, family, mode]
            ).run(seconds: 290)
            #expect(finished.status == 0 && finished.output.hasSuffix("OK\n"), "\(finished)")
        }
    }
}
