internal import CLinux
internal import Glibc
internal import SystemPackage

/// Files and descriptors.
extension KernelFeature {
    static let files: [KernelFeature] = [
        KernelFeature(
            "memfd", "files without a name (memfd_create)",
            cost: "Nothing can be dumped or restored: the mailbox is such a file.", isRequired: true
        ) { () throws(Errno) in
            _ = try Files.memory(named: "apus-probe")
            return .present
        },
        KernelFeature(
            "memfd_exec", "executable files without a name (vm.memfd_noexec)",
            cost: "Nothing can be restored: a restored process begins as such a file. Set vm.memfd_noexec to 0 or 1.",
            isRequired: true
        ) { () throws(Errno) in
            do throws(Errno) {
                _ = try Files.memory(named: "apus-probe", executable: true)
            } catch .permissionDenied {
                return .missing("vm.memfd_noexec forbids them")
            }
            return .present
        },
        KernelFeature(
            "memfd_hugetlb", "files of huge pages without a name (MFD_HUGETLB)",
            cost: "Shared memory of huge pages cannot be restored."
        ) { () throws(Errno) in
            _ = try Files.memory(named: "apus-probe", flags: MemoryFileFlag.closeOnExec | MemoryFileFlag.hugePages)
            return .present
        },
        KernelFeature(
            "close_range", "closing ranges of descriptors (close_range)",
            cost: "Nothing can be restored: a restored process closes what it was made with so.", isRequired: true
        ) { () throws(Errno) in
            // A range in which nothing can be open.
            try Files.closeRange(.max - 1, through: .max)
            return .present
        },
        KernelFeature(
            "timerfd", "the state of timer descriptors, and setting it (fdinfo, TFD_IOC_SET_TICKS)",
            cost: "Processes with timer descriptors are restored without expiries that were not read yet."
        ) { () throws(Errno) in
            let timer = OwnedDescriptor(owning: Int32(try call(Int(SYS_timerfd_create), 1, UInt(O_CLOEXEC))))
            guard try lines(of: timer.raw).contains(where: { $0.keyText == "clockid" }) else {
                return .missing("fdinfo does not show the clock")
            }
            let setTicks: UInt = 0x4008_5400
            var ticks: UInt64 = 1
            _ = try withAddress(of: &ticks) { outcome(of: Int(SYS_ioctl), UInt(signed: timer.raw), setTicks, $0) }
            return .present
        },
        KernelFeature(
            "fdinfo_lock", "file locks shown with their descriptors (fdinfo)",
            cost: "File locks cannot be dumped."
        ) { () throws(Errno) in
            let file = try Files.memory(named: "apus-probe")
            try call(Int(SYS_flock), UInt(signed: file.raw), UInt(LOCK_EX))
            return try information(of: file.raw).locks.first?.kind == .flock
                ? .present : .missing("fdinfo does not show a lock")
        },
        KernelFeature(
            "tun", "network devices of programs (/dev/net/tun)",
            cost: "Processes with TUN or TAP devices cannot be dumped or restored."
        ) { () throws(Errno) in
            let tun = try Files.open("/dev/net/tun", .readWrite)
            var features: UInt32 = 0
            let getFeatures: UInt = 0x8004_54cf
            _ = try withAddress(of: &features) {
                outcome(of: Int(SYS_ioctl), UInt(signed: tun.raw), getFeatures, $0)
            }
            return .present
        },
        KernelFeature(
            "autofs", "mounting on demand (autofs)",
            cost: "Containers with mounts on demand cannot be dumped or restored."
        ) { () throws(Errno) in
            let known = String(decoding: try Files.contents(of: "/proc/filesystems"), as: UTF8.self)
            let names = known.split(separator: "\n").compactMap { $0.split(separator: "\t").last }
            return names.contains("autofs") ? .present : .missing("the file system is not registered")
        },
    ]

    private static func information(of descriptor: Int32) throws(Errno) -> DescriptorInfo {
        do throws(ProcfsError) {
            return try Procfs.live.process(Processes.current).descriptorInfo(descriptor)
        } catch {
            throw error.errno ?? .ioError
        }
    }

    private static func lines(of descriptor: Int32) throws(Errno) -> [DescriptorInfo.Line] {
        try information(of: descriptor).rest
    }
}
