internal import Diagnostics
internal import Linux
internal import SystemPackage

/// Sockets that Apus does not carry: what they are in words, by the numbers that the kernel gives.
struct RefusedSocket {
    private let domain: Int32
    /// Of all of the family where there is none.
    private let protocolNumber: Int32?
    private let name: String
    private let remedy: String

    private init(_ domain: Int32, of number: Int32? = nil, _ name: String, _ remedy: String = Self.closing) {
        self.domain = domain
        protocolNumber = number
        self.name = name
        self.remedy = remedy
    }

    private static let closing = "Have the program close it before the dump, and open it anew afterwards"
    private static let otherEnd =
        "The other end is another machine or the kernel, which would not take part: " + closing.lowercasingFirst
    private static let plainTCP =
        "Run the program with plain TCP: for example with GODEBUG=multipathtcp=0, or without mptcpize"

    /// The more particular come first (address_families(7), linux/socket.h, linux/in.h).
    private static let all: [RefusedSocket] = [
        RefusedSocket(Sockets.inet, of: 262, "MPTCP", plainTCP),
        RefusedSocket(Sockets.inet6, of: 262, "MPTCP", plainTCP),
        RefusedSocket(Sockets.inet, of: 132, "SCTP", otherEnd),
        RefusedSocket(Sockets.inet6, of: 132, "SCTP", otherEnd),
        RefusedSocket(Sockets.inet, of: 33, "DCCP", otherEnd),
        RefusedSocket(Sockets.inet6, of: 33, "DCCP", otherEnd),
        RefusedSocket(Sockets.inet, of: 256, "SMC", "Run the program with plain TCP, without smc_run"),
        RefusedSocket(Sockets.inet6, of: 256, "SMC", "Run the program with plain TCP, without smc_run"),
        RefusedSocket(Sockets.inet, of: 115, "L2TP", otherEnd),
        RefusedSocket(Sockets.inet6, of: 115, "L2TP", otherEnd),
        RefusedSocket(Sockets.inet, "internet protocol"),
        RefusedSocket(Sockets.inet6, "internet protocol, version 6"),
        RefusedSocket(3, "AX.25 of radio amateurs"),
        RefusedSocket(4, "IPX"),
        RefusedSocket(5, "AppleTalk"),
        RefusedSocket(9, "X.25"),
        RefusedSocket(15, "keys of IPsec (PF_KEY)"),
        RefusedSocket(17, "packets of network devices"),
        RefusedSocket(20, "ATM"),
        RefusedSocket(21, "reliable datagrams (RDS)", otherEnd),
        RefusedSocket(24, "PPP over Ethernet or L2TP", otherEnd),
        RefusedSocket(26, "LLC"),
        RefusedSocket(29, "CAN bus"),
        RefusedSocket(30, "TIPC", otherEnd),
        RefusedSocket(31, "Bluetooth", otherEnd),
        RefusedSocket(33, "RxRPC", otherEnd),
        RefusedSocket(35, "Phonet"),
        RefusedSocket(36, "IEEE 802.15.4"),
        RefusedSocket(
            38, "cryptography of the kernel (AF_ALG)",
            "Its keys cannot be read back. Have the program use a library's own cryptography, such as OpenSSL without"
                + " the engine afalg, or close the socket before the dump"),
        RefusedSocket(39, "NFC"),
        RefusedSocket(40, "virtual machine and its host (vsock)", otherEnd),
        RefusedSocket(41, "kernel connection multiplexor (KCM)"),
        RefusedSocket(42, "IPC router of Qualcomm"),
        RefusedSocket(43, "SMC", "Run the program with plain TCP, without smc_run"),
        RefusedSocket(44, "express data path (AF_XDP)"),
        RefusedSocket(45, "management components (MCTP)"),
    ]

    private static let types: [Int32: String] = [
        1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM", 5: "SOCK_SEQPACKET", 6: "SOCK_DCCP",
        10: "SOCK_PACKET",
    ]

    private static func kind(_ domain: Int32, _ number: Int32) -> RefusedSocket? {
        all.first { $0.domain == domain && ($0.protocolNumber.map { $0 == number } ?? true) }
    }

    /// What people call it, without an article.
    static func name(of seen: SeenDescriptor) -> String {
        guard let socket = seen.socket else { return "socket" }
        return
            "socket of family \(socket.domain) (\(kind(socket.domain, socket.protocolNumber)?.name ?? "which Apus does not know"))"
    }

    /// Why a socket of no kind that Apus carries refuses the dump.
    static func problem(of seen: SeenDescriptor) -> Problem {
        guard let socket = seen.socket else {
            return Problem(
                .unsupported, "a socket that does not tell what it is cannot be carried", object: seen.object,
                remedy: closing)
        }
        return problem(socket.domain, socket.type, socket.protocolNumber, seen.object)
    }

    /// The same by the numbers that the kernel gives it.
    static func problem(_ domain: Int32, _ type: Int32, _ number: Int32, _ object: Problem.Object) -> Problem {
        let known = kind(domain, number)
        let type = types[type].map { "\($0) (\(type))" } ?? "\(type)"
        return Problem(
            .unsupported,
            "a socket of family \(domain) (\(known?.name ?? "which Apus does not know")), type \(type) and"
                + " protocol \(number) cannot be carried",
            object: object, remedy: known?.remedy ?? closing)
    }

    /// Why a socket of a kind that Apus carries refuses it all the same: what no kind can have.
    ///
    /// - Parameter copy: a descriptor of Apus for it; nil for one to be taken.
    static func obstacle(to seen: SeenDescriptor, through copy: Int32? = nil) -> Problem? {
        guard let copy else {
            guard let own = try? SocketIdentity.open(seen.number, of: seen.pid) else { return nil }
            return obstacle(to: seen, through: own.raw)
        }
        do {
            _ = try Sockets.filter(of: copy)
            return nil
        } catch {
            // EACCES: a filter that was not given as instructions of the classic kind.
            guard error == .permissionDenied else { return nil }
            return Problem(
                .unsupported, "the socket has an extended filter (SO_ATTACH_BPF), which cannot be read back",
                object: seen.object,
                remedy: "Have the program detach it before the dump (SO_DETACH_FILTER), or use a classic one"
                    + " (SO_ATTACH_FILTER)")
        }
    }
}

extension String {
    /// For a sentence in the midst of another.
    fileprivate var lowercasingFirst: String { prefix(1).lowercased() + dropFirst() }
}
