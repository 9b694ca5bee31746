import Glibc
import Testing

/// Unmodified servers of Debian whose clients stay connected while they are dumped and restored three times
/// (Tests/Programs/tcp_servers.py), each in a network namespace of its own.
@Suite("TCP servers", .serialized, .enabled(if: geteuid() == 0, "needs root"))
struct TCPServersTests {
    /// And wrk, where there is one.
    @Test(.enabled(if: canRun("nginx", "curl"), "needs nginx and curl"), .timeLimit(.minutes(3)))
    func nginx() throws { try serve("nginx") }

    @Test(.enabled(if: canRun("redis-server", "redis-benchmark", "redis-cli"), "needs redis"), .timeLimit(.minutes(3)))
    func redis() throws { try serve("redis") }

    @Test(
        .enabled(if: canRun("setpriv") && exists("/usr/lib/postgresql"), "needs postgresql"), .timeLimit(.minutes(3)))
    func postgresql() throws { try serve("postgresql") }

    @Test(.enabled(if: canRun("memcached"), "needs memcached"), .timeLimit(.minutes(3)))
    func memcached() throws { try serve("memcached") }

    /// A session, and a transfer there and back.
    @Test(
        .enabled(if: canRun("ssh", "sftp", "ssh-keygen") && exists("/usr/sbin/sshd"), "needs openssh-server"),
        .timeLimit(.minutes(3)))
    func sshd() throws { try serve("sshd") }

    /// A server of Python's asyncio that tells everybody what everybody says.
    @Test(.enabled(if: canRun(), "needs python3"), .timeLimit(.minutes(3)))
    func chat() throws { try serve("chat") }

    @Test(.enabled(if: canRun("iperf3"), "needs iperf3"), .timeLimit(.minutes(3)))
    func iperf3() throws { try serve("iperf3") }

    private func serve(_ server: String) throws {
        try withWorld { world in
            let finished = try Command(
                ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "python3"]
                    + [Programs.path("tcp_servers.py"), Place.apus, world.path("server"), server]
            ).run(seconds: 150)
            #expect(finished.status == 0 && finished.output.hasSuffix("OK\n"), "\(finished)")
        }
    }
}

private func canRun(_ names: String...) -> Bool {
    Programs.has("python3", "ip", "unshare") && names.allSatisfy { Programs.has($0) }
}
