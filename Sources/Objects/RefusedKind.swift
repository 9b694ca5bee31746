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

    private static let bpf = "Detach and close it before the dump, and load it anew afterwards"

    static let all: [RefusedKind] = [
        RefusedKind(
            "a userfaultfd", link: "anon_inode:[userfaultfd]",
            "Dump the program when it handles no page faults of its own"),
        RefusedKind("a BPF program", link: "anon_inode:bpf-prog", bpf),
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
        RefusedKind(
            "a file system in user space (FUSE)",
            "Unmount it before the dump (fusermount -u), and mount it anew afterwards: whoever looks at its files waits for it"
        ) { $0.isDevice(major: 10, minor: 229) },
        RefusedKind("a virtual machine", "Use the virtual machine monitor's own migration") {
            $0.isDevice(major: 10, minor: 232)
        },
        RefusedKind("a graphics device", "Its driver's state cannot be saved: close it before the dump") {
            $0.status.kind == .characterDevice
                && ($0.status.representedDevice.major == 226 || $0.linkBegins(with: "/dev/nvidia"))
        },
        RefusedKind("a loop device", "Close it before the dump: what lies under it is not in the images") {
            $0.status.kind == .blockDevice && $0.status.representedDevice.major == 7
        },
        RefusedKind("the control of loop devices", "Close it before the dump: nothing is lost by it") {
            $0.isDevice(major: 10, minor: 237)
        },
        RefusedKind("a block device", "Close it before the dump: what the kernel holds of it is not saved") {
            $0.status.kind == .blockDevice
        },
        RefusedKind("a device", "The driver's state cannot be saved; close the device before the dump") {
            $0.status.kind == .characterDevice
        },
    ]

    /// What people call it, without an article.
    static func name(of seen: SeenDescriptor) -> String {
        if seen.status.kind == .socket { return RefusedSocket.name(of: seen) }
        guard let kind = all.first(where: { $0.matches(seen) }) else { return "unknown kind" }
        let words = kind.name.split(separator: " ")
        return ["a", "an"].contains(words[0]) ? words.dropFirst().joined(separator: " ") : kind.name
    }

    static func problem(of seen: SeenDescriptor) -> Problem {
        if seen.status.kind == .socket { return RefusedSocket.problem(of: seen) }
        if let kind = all.first(where: { $0.matches(seen) }) {
            return Problem(.unsupported, "\(kind.name) cannot be carried yet", object: seen.object, remedy: kind.remedy)
        }
        return Problem(
            .unsupported, "the kernel calls this object \(seen.linkText), a kind that Apus does not know",
            object: seen.object, remedy: closing)
    }
}

extension SeenDescriptor {
    /// Whether it is a character device of the list of the kernel ("Documentation/admin-guide/devices.txt").
    fileprivate func isDevice(major: UInt32, minor: UInt32) -> Bool {
        status.kind == .characterDevice && status.representedDevice == DeviceNumber(major: major, minor: minor)
    }
}
