import Diagnostics
import Testing

@testable import Objects

/// What is said of sockets that are not carried, also of those that the kernel of the tests has none of.
@Suite("Words for refused sockets")
struct RefusedSocketTests {
    private static let object = Problem.Object(pid: 7, process: "program", fd: 3, path: "socket:[1]")

    @Test(
        arguments: [
            (2, 1, 132, "family 2 (SCTP), type SOCK_STREAM (1) and protocol 132"),
            (10, 5, 132, "family 10 (SCTP), type SOCK_SEQPACKET (5) and protocol 132"),
            (2, 1, 262, "family 2 (MPTCP), type SOCK_STREAM (1) and protocol 262"),
            (10, 1, 262, "family 10 (MPTCP), type SOCK_STREAM (1) and protocol 262"),
            (2, 6, 33, "family 2 (DCCP), type SOCK_DCCP (6) and protocol 33"),
            (31, 5, 0, "family 31 (Bluetooth), type SOCK_SEQPACKET (5) and protocol 0"),
            (31, 1, 3, "family 31 (Bluetooth), type SOCK_STREAM (1) and protocol 3"),
            (38, 5, 0, "family 38 (cryptography of the kernel (AF_ALG)), type SOCK_SEQPACKET (5) and protocol 0"),
            (40, 1, 0, "family 40 (virtual machine and its host (vsock)), type SOCK_STREAM (1) and protocol 0"),
            (40, 2, 0, "family 40 (virtual machine and its host (vsock)), type SOCK_DGRAM (2) and protocol 0"),
            (29, 3, 1, "family 29 (CAN bus), type SOCK_RAW (3) and protocol 1"),
            (44, 3, 0, "family 44 (express data path (AF_XDP)), type SOCK_RAW (3) and protocol 0"),
            (99, 12, 5, "family 99 (which Apus does not know), type 12 and protocol 5"),
        ] as [(Int32, Int32, Int32, String)])
    func byFamilyTypeAndProtocol(_ family: Int32, _ type: Int32, _ number: Int32, _ words: String) {
        let problem = RefusedSocket.problem(family, type, number, Self.object)
        #expect(problem.code == .unsupported && problem.summary.contains(words), "\(problem)")
        #expect(problem.object.pid == 7 && problem.object.fd == 3 && problem.object.process == "program")
        #expect(!problem.remedy.isEmpty)
    }

    @Test func connectionsThatTheKernelEncrypts() throws {
        let tls = Array("tls".utf8) + [UInt8](repeating: 0, count: 13)
        let problem = try #require(InetSocket.hindrance(upper: tls, Self.object))
        #expect(problem.summary.contains("(tls): encryption cannot be carried") && problem.object.fd == 3)
        #expect(problem.remedy.contains("without kernel TLS"))
        #expect(InetSocket.hindrance(upper: [], Self.object) == nil)
        #expect(InetSocket.hindrance(upper: [UInt8](repeating: 0, count: 16), Self.object) == nil)
    }
}
