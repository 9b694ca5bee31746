internal import CLinux
internal import Glibc
internal import SystemPackage

/// Sockets, network devices and packet filters.
extension KernelFeature {
    static let network: [KernelFeature] = [
        KernelFeature(
            "sk_ns", "the network namespace of a socket (SIOCGSKNS)",
            cost: "Sockets of another network namespace than their owner's cannot be dumped."
        ) { () throws(Errno) in
            let socket = try makeSocket(AF_INET, SOCK_DGRAM)
            let number = try call(Int(SYS_ioctl), UInt(signed: socket.raw), 0x894c, 0)
            _ = OwnedDescriptor(owning: Int32(number))
            return .present
        },
        KernelFeature(
            "sk_unix_file", "the file of a bound Unix socket (SIOCUNIXFILE)",
            cost: "Unix sockets whose files were moved or deleted cannot be dumped."
        ) { () throws(Errno) in
            let socket = try makeSocket(AF_UNIX, SOCK_STREAM)
            do throws(Errno) {
                try call(Int(SYS_ioctl), UInt(signed: socket.raw), 0x89e0, 0)
            } catch .noSuchFileOrDirectory {
                // A socket without a name has no file: the kernel knows the request.
                return .present
            }
            return .missing("a socket without a name has a file")
        },
        KernelFeature(
            "kernel_memory", "what was sent on Unix connections that nobody has accepted yet (BPF, BTF)",
            cost: "Such connections refuse the dump while something is unread on them."
        ) { () throws(Errno) in
            let ends = try Files.socketPair()
            let task = try KernelMemory.use { (kernel) throws(Errno) in
                _ = try KernelMessages(kernel).waiting(on: kernel.socket(ends.first.raw))
                return try kernel.task()
            }
            return task == 0 ? .missing("it says nothing of the thread that asks") : .present
        },
        KernelFeature(
            "net_diag_raw", "looking into raw sockets (sock_diag)",
            cost: "Processes with raw sockets cannot be dumped."
        ) { () throws(Errno) in
            let (byFamily, dump, raw): (UInt16, UInt16, UInt8) = (20, 0x300, 255)
            var question = NetlinkProbe(family: 4, type: byFamily, flags: dump)
            // struct inet_diag_req_v2: all states, and an empty socket id.
            question.append(UInt8(AF_INET))
            question.append(raw)
            question.append(UInt16(0))
            question.append(UInt32.max)
            for _ in 0..<12 { question.append(UInt32(0)) }
            try question.ask()
            return .present
        },
        KernelFeature(
            "tcp_half_closed", "taking over TCP connections that are closed on one side (TCP_REPAIR)",
            cost: "TCP connections that are closed on one side cannot be dumped."
        ) { () throws(Errno) in try probeHalfClosed() },
        KernelFeature(
            "ipv6_freebind", "binding to IPv6 addresses that are not there yet (IPV6_FREEBIND)",
            cost: "Sockets bound to IPv6 addresses are restored only once the address is there."
        ) { () throws(Errno) in
            let socket = try makeSocket(AF_INET6, SOCK_DGRAM)
            try setOption(socket.raw, IPPROTO_IPV6_NUMBER, 78, 1)
            return .present
        },
        KernelFeature(
            "nsid", "numbers of network namespaces (RTM_GETNSID)",
            cost: "Network devices with their other end in another namespace cannot be dumped."
        ) { () throws(Errno) in
            let network = try Files.open("/proc/self/ns/net", .readOnly)
            let (getNumber, byDescriptor): (UInt16, UInt16) = (90, 3)
            var question = NetlinkProbe(family: 0, type: getNumber)
            question.append(UInt32(0))
            question.attribute(byDescriptor, UInt32(network.raw))
            try question.ask()
            return .present
        },
        KernelFeature(
            "link_nsid", "making a device with its other end in a numbered namespace (IFLA_LINK_NETNSID)",
            cost: "Network devices with their other end in another namespace cannot be restored."
        ) { () throws(Errno) in
            // No namespace has the number: a kernel that looks at it refuses.
            let linkNamespace: UInt16 = 37
            var question = newLink(index: 0)
            question.attribute(linkNamespace, 0x7fff_fff0)
            do throws(Errno) {
                try question.askInNewNamespace()
            } catch .invalidArgument {
                return .present
            }
            return .missing("the number is not looked at")
        },
        KernelFeature(
            "newifindex", "making a network device with a given number",
            cost: "Network devices are restored with other numbers than they had."
        ) { () throws(Errno) in
            do throws(Errno) {
                try newLink(index: 4711).askInNewNamespace()
            } catch .notSupportedOnSocket {
                return .cannotTell("the kernel has no veth devices to try it with")
            }
            return .present
        },
        KernelFeature(
            "nftables", "packet filters, to hold TCP connections still (the command nft)",
            cost: "Established TCP connections need the command iptables instead."
        ) { () throws(Errno) in findCommand("nft") },
        KernelFeature(
            "iptables", "packet filters, to hold TCP connections still (the command iptables)",
            cost: "Established TCP connections need the command nft instead."
        ) { () throws(Errno) in findCommand("iptables") },
        KernelFeature(
            "has_ipt_legacy", "packet filters of the older kind (the command iptables-legacy)",
            cost: "Rules of the older kind cannot be dumped or restored with a network namespace."
        ) { () throws(Errno) in findCommand("iptables-legacy") },
    ]

    private static let IPPROTO_IPV6_NUMBER: Int32 = 41

    private static func makeSocket(_ family: Int32, _ type: __socket_type) throws(Errno) -> OwnedDescriptor {
        let number = try call(Int(SYS_socket), UInt(signed: family), UInt(type.rawValue) | UInt(O_CLOEXEC), 0)
        return OwnedDescriptor(owning: Int32(number))
    }

    private static func setOption(_ socket: Int32, _ level: Int32, _ option: UInt, _ value: Int32) throws(Errno) {
        var value = value
        _ = try withAddress(of: &value) {
            outcome(of: Int(SYS_setsockopt), UInt(signed: socket), UInt(signed: level), option, $0, 4)
        }
    }

    /// RTM_NEWLINK for a veth pair.
    private static func newLink(index: Int32) -> NetlinkProbe {
        let (newLink, acknowledgeCreateExclusive): (UInt16, UInt16) = (16, 0x604)
        var question = NetlinkProbe(family: 0, type: newLink, flags: acknowledgeCreateExclusive)
        // struct ifinfomsg.
        question.append(UInt32(0))
        question.append(index)
        question.append(UInt32(0))
        question.append(UInt32(0))
        let (linkInformation, kind): (UInt16, UInt16) = (18, 1)
        let name = Array("veth".utf8)
        question.attribute(linkInformation, [8, 0, UInt8(kind), 0] + name)
        return question
    }

    /// A connection over the loopback, closed on one side, is put into repair mode.
    private static func probeHalfClosed() throws(Errno) -> Finding {
        // struct sockaddr_in of 127.0.0.1, port 0: the kernel picks one.
        var address: (UInt32, UInt32, UInt64) = (UInt32(AF_INET), UInt32(0x0100_007f), 0)
        let size: UInt = 16
        let listener = try makeSocket(AF_INET, SOCK_STREAM)
        let listening = UInt(signed: listener.raw)
        _ = try withAddress(of: &address) { outcome(of: Int(SYS_bind), listening, $0, size) }
        try call(Int(SYS_listen), listening, 1)
        var length: UInt32 = 16
        _ = try withAddress(of: &address) { address in
            Result { () throws(Errno) in
                try withAddress(of: &length) { outcome(of: Int(SYS_getsockname), listening, address, $0) }
            }
        }
        let client = try makeSocket(AF_INET, SOCK_STREAM)
        do throws(Errno) {
            _ = try withAddress(of: &address) {
                outcome(of: Int(SYS_connect), UInt(signed: client.raw), $0, size)
            }
        } catch {
            return .cannotTell("no connection over the loopback device (\(error.name))")
        }
        let closeWriting: UInt = 1
        try call(Int(SYS_shutdown), UInt(signed: client.raw), closeWriting)
        let (tcp, repair): (Int32, UInt) = (6, 19)
        try setOption(client.raw, tcp, repair, 1)
        return .present
    }

    /// Looks where a shell of root would.
    private static func findCommand(_ name: String) -> Finding {
        let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
        let directories = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        let executable: Int32 = 1
        for directory in directories {
            if (try? Files.access(FilePath("\(directory)/\(name)"), mode: executable)) != nil { return .present }
        }
        return .missing("the command \(name) is not installed")
    }
}
