internal import CLinux
internal import SystemPackage

/// Namespaces and mounts.
extension KernelFeature {
    static let namespaces: [KernelFeature] = [
        namespace("userns", "user namespaces", flag: 0x1000_0000, lost: "Containers with a user namespace"),
        namespace(
            "cgroupns", "control group namespaces", flag: 0x0200_0000, lost: "Containers with a cgroup namespace"),
        namespace(
            "timens", "time namespaces", flag: 0x80,
            lost: "Clocks that must go on from where they stood (CLOCK_MONOTONIC): those processes"),
        KernelFeature(
            "external_net_ns", "entering a network namespace made by others (setns)",
            cost: "Containers whose network is made by others cannot be restored into it."
        ) { () throws(Errno) in
            let network = try Files.open("/proc/self/ns/net", .readOnly)
            let newNetwork: UInt = 0x4000_0000
            _ = try ProbeChild { ProbeChild.error(of: SYS_setns, UInt(signed: network.raw), newNetwork) }
            return .present
        },
        KernelFeature(
            "move_mount_set_group", "putting mounts into one peer group (MOVE_MOUNT_SET_GROUP)",
            cost: "Shared mounts of containers are restored in a fixed order only, and some not at all."
        ) { () throws(Errno) in
            // Flags are checked before the descriptors, which are none.
            let (setGroup, noDescriptor): (UInt, UInt) = (0x100, UInt(signed: -1))
            var name: (UInt8, UInt8) = (UInt8(ascii: "x"), 0)
            do throws(Errno) {
                _ = try withAddress(of: &name) {
                    outcome(of: Int(SYS_move_mount), noDescriptor, $0, noDescriptor, $0, setGroup)
                }
            } catch .badFileDescriptor {
                return .present
            }
            return .missing("the call answered what it cannot")
        },
    ]

    /// A child moves into a new namespace of the kind.
    private static func namespace(_ name: String, _ summary: String, flag: UInt, lost: String) -> KernelFeature {
        KernelFeature(name, summary, cost: lost + " cannot be restored.") { () throws(Errno) in
            _ = try ProbeChild { ProbeChild.error(of: SYS_unshare, flag) }
            return .present
        }
    }
}
