internal import Diagnostics
internal import Linux

/// Kinds of open file descriptions that Apus knows and cannot carry.
///
/// A refusal is better than a surprise: each says what the thing is, and the way out. A kind leaves this table when it
/// gets a file of its own.
struct RefusedKind {
    let name: String
    let remedy: String
    let matches: @Sendable (SeenDescriptor) -> Bool

    init(_ name: String, _ remedy: String, matching matches: @escaping @Sendable (SeenDescriptor) -> Bool) {
        self.name = name
        self.remedy = remedy
        self.matches = matches
    }

    /// One whose link begins so.
    init(_ name: String, link prefix: String, _ remedy: String) {
        self.init(name, remedy) { $0.linkBegins(with: prefix) }
    }

    private static let closing =
        "Close it in the program before the dump, or wait for a version of Apus that carries it"

    static let all: [RefusedKind] = [
        RefusedKind(
            "a connection of Multipath TCP",
            "Run the program with plain TCP: the kernel shows the state of its paths to nobody"
        ) { $0.socket?.protocolNumber == InetSocket.multipath && $0.socket?.type == Sockets.stream },
        RefusedKind("a socket other than Unix, TCP, UDP and netlink", closing) { $0.status.kind == .socket },
        RefusedKind("a fanotify queue", link: "anon_inode:[fanotify]", closing),
        RefusedKind("a pidfd", link: "anon_inode:[pidfd]", closing),
        RefusedKind("a pidfd", link: "pidfd:", closing),
        RefusedKind(
            "an io_uring", link: "anon_inode:[io_uring]",
            "Run the program with io_uring disabled: what is under way in it cannot be seen"),
        RefusedKind(
            "a userfaultfd", link: "anon_inode:[userfaultfd]",
            "Dump the program when it handles no page faults of its own"),
        RefusedKind(
            "a BPF object", link: "anon_inode:bpf", "Detach and close it before the dump, and load it anew afterwards"),
        RefusedKind("a performance counter", link: "anon_inode:[perf_event]", "Stop profiling (perf) before the dump"),
        RefusedKind(
            "a Landlock ruleset", link: "anon_inode:[landlock",
            "The ruleset cannot be read back; close it before the dump"),
        RefusedKind("a virtual machine", link: "anon_inode:kvm", "Use the virtual machine monitor's own migration"),
        RefusedKind("a GPU buffer", link: "anon_inode:dmabuf", "Close the device before the dump"),
        RefusedKind(
            "secret memory", link: "/secretmem",
            "Its content is hidden from the kernel's own eyes, and cannot be carried"),
        RefusedKind(
            "memory of huge pages", link: "/anon_hugepage", "Run the program without explicit huge pages (MAP_HUGETLB)"),
        RefusedKind("a namespace", closing) { seen in
            ["mnt:[", "net:[", "pid:[", "uts:[", "ipc:[", "user:[", "cgroup:[", "time:["].contains {
                seen.linkBegins(with: $0)
            }
        },
        RefusedKind("a block device", "Close it before the dump: what the kernel holds of it is not saved") {
            $0.status.kind == .blockDevice
        },
        RefusedKind("a tunnel device", closing) { $0.link.elementsEqual("/dev/net/tun".utf8) },
        RefusedKind(
            "the master of a pseudo-terminal", "Dump the programs that run inside of it instead, with --shell-job"
        ) {
            $0.status.kind == .characterDevice && $0.status.representedDevice == DeviceNumber(major: 5, minor: 2)
        },
        RefusedKind("a device", "The driver's state cannot be saved; close the device before the dump") {
            $0.status.kind == .characterDevice
        },
    ]

    static func problem(of seen: SeenDescriptor) -> Problem {
        if let kind = all.first(where: { $0.matches(seen) }) {
            return Problem(.unsupported, "\(kind.name) cannot be carried yet", object: seen.object, remedy: kind.remedy)
        }
        return Problem(
            .unsupported, "the kernel calls this object \(seen.linkText), a kind that Apus does not know",
            object: seen.object, remedy: closing)
    }
}
