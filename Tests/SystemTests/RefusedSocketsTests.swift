import Glibc
import Testing

/// Sockets of kinds that Apus does not carry are refused before the freeze, by what they are: family, type and protocol in
/// words and numbers, process and descriptor.
@Suite("Refused sockets", .enabled(if: geteuid() == 0, "needs root"))
struct RefusedSocketsTests {
    /// A kind of socket, and what the refusal calls it.
    struct Kind: CustomTestStringConvertible {
        let family, type, number: Int32
        let name: String
        var testDescription: String { name }

        /// Not every kernel has all of them.
        var isKnown: Bool {
            let made = socket(family, type, number)
            if made >= 0 { close(made) }
            return made >= 0
        }
    }

    private static let stream: Int32 = 1
    private static let (raw, seqpacket): (Int32, Int32) = (3, 5)
    static let sctp = Kind(
        family: AF_INET, type: stream, number: 132, name: "family 2 (SCTP), type SOCK_STREAM (1) and protocol 132")
    static let bluetooth = Kind(
        family: 31, type: seqpacket, number: 0, name: "family 31 (Bluetooth), type SOCK_SEQPACKET (5) and protocol 0")
    static let vsock = Kind(
        family: 40, type: stream, number: 0,
        name: "family 40 (virtual machine and its host (vsock)), type SOCK_STREAM (1) and protocol 0")
    static let multipath = Kind(
        family: AF_INET, type: stream, number: 262, name: "family 2 (MPTCP), type SOCK_STREAM (1) and protocol 262")
    static let multipathSix = Kind(
        family: AF_INET6, type: stream, number: 262, name: "family 10 (MPTCP), type SOCK_STREAM (1) and protocol 262")
    static let express = Kind(
        family: 44, type: raw, number: 0, name: "family 44 (express data path (AF_XDP)), type SOCK_RAW (3)")
    static let cryptography = Kind(
        family: 38, type: seqpacket, number: 0, name: "family 38 (cryptography of the kernel (AF_ALG))")

    @Test(.enabled(if: sctp.isKnown, "this kernel has no SCTP")) func streamControl() throws { try refused(Self.sctp) }

    @Test(.enabled(if: bluetooth.isKnown, "this kernel has no Bluetooth"))
    func ofBluetooth() throws { try refused(Self.bluetooth) }

    @Test(.enabled(if: vsock.isKnown, "this kernel has no vsock"))
    func ofVirtualMachines() throws { try refused(Self.vsock) }

    @Test(.enabled(if: multipath.isKnown, "this kernel has no MPTCP"))
    func ofSeveralPaths() throws {
        try refused(Self.multipath)
        try refused(Self.multipathSix)
    }

    @Test(.enabled(if: express.isKnown, "this kernel has no AF_XDP"))
    func ofTheExpressPath() throws { try refused(Self.express) }

    @Test(.enabled(if: cryptography.isKnown, "this kernel has no AF_ALG"))
    func ofCryptography() throws { try refused(Self.cryptography) }

    /// TCP_ULP says ENOENT where the kernel has no TLS, and ENOTCONN where it has.
    private static var hasKernelTLS: Bool {
        let made = socket(AF_INET, stream, 0)
        defer { close(made) }
        // The name lives for the call.
        let result = unsafe "tls".withCString { name in unsafe setsockopt(made, Int32(IPPROTO_TCP), 31, name, 4) }
        return result != 0 && errno == ENOTCONN
    }

    @Test(.enabled(if: hasKernelTLS, "this kernel has no TLS"))
    func encryptedByTheKernel() throws { try refused("kernel-tls", "encryption cannot be carried") }

    private func refused(_ kind: Kind) throws {
        try refused("socket=\(kind.family),\(kind.type),\(kind.number)", kind.name)
    }

    private func refused(_ kind: String, _ name: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "unsupported", arguments: [kind, "FOLDER"]), in: world)
            let before = running.snapshot
            for verb in ["dump", "explain"] {
                try world.succeed("mkdir", "-p", world.path("images"))
                let place = verb == "dump" ? ["-t", "\(running.pid)", "-D", world.path("images")] : ["\(running.pid)"]
                let finished = try world.apus([verb] + place + ["--tcp-established"])
                // Long lines are broken.
                let text = finished.errors + finished.output
                let said = text.replacing("\n", with: " ").split(separator: " ").joined(separator: " ")
                #expect(finished.status == 1 && said.contains(name), "\(verb): \(finished)")
                #expect(
                    said.contains("process \(running.pid)") && said.contains("descriptor 3"), "\(verb): \(finished)")
            }
            #expect(!exists(world.path("images/inventory.img")))
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }
}
