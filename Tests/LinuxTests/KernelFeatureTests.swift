import Linux
import SystemPackage
import Testing

/// Whether the tests may do what root may.
let isRoot = Processes.effectiveUser == 0

@Suite(.serialized, .timeLimit(.minutes(2))) struct KernelFeatureTests {
    /// The names that scripts written for CRIU ask for.
    static let knownNames = [
        "mem_dirty_track", "aio_remap", "timerfd", "tun", "userns", "fdinfo_lock", "seccomp_suspend",
        "seccomp_filters", "loginuid", "cgroupns", "autofs", "tcp_half_closed", "compat_cr", "uffd", "uffd-noncoop",
        "can_map_vdso", "sk_ns", "sk_unix_file", "net_diag_raw", "nsid", "link_nsid", "kcmp", "timens",
        "external_net_ns", "clone3_set_tid", "newifindex", "nftables", "has_ipt_legacy", "ipv6_freebind",
        "set_robust_list", "memfd_hugetlb", "pagemap_scan", "ptrace_get_rseq_conf", "overlayfs_maps",
        "move_mount_set_group",
    ]

    @Test func names() {
        for name in Self.knownNames { #expect(KernelFeature.named(name)?.name == name, "\(name)") }
        #expect(KernelFeature.named("uffd_noncoop")?.name == "uffd-noncoop")
        #expect(KernelFeature.named("no_such_feature") == nil && KernelFeature.named("") == nil)
        let names = KernelFeature.all.map(\.name)
        #expect(Set(names).count == names.count)
        for feature in KernelFeature.all {
            #expect(!feature.summary.isEmpty && feature.cost.hasSuffix("."), "\(feature.name)")
        }
    }

    @Test func refusalsAreJudged() {
        func probe(_ error: Errno) -> KernelFeature.Availability {
            KernelFeature("x", "x", cost: "All.") { () throws(Errno) in throw error }.probe()
        }
        #expect(probe(.notPermitted) == .cannotTell(reason: "the probe is not permitted (EPERM)"))
        #expect(probe(.permissionDenied) == .cannotTell(reason: "the probe is not permitted (EACCES)"))
        #expect(probe(.noFunction) == .missing(reason: "the probe failed with ENOSYS", cost: "All."))
    }

    /// Nothing is left of a probe. Other tests open and close descriptors meanwhile, but a leak would add up.
    @Test func probesLeaveNothing() throws {
        let me = Procfs.live.process(Processes.current)
        let thread = Procfs.live.thread(Processes.currentThread, of: Processes.current)
        for feature in KernelFeature.all {
            let children = try thread.children()
            let descriptors = try me.descriptors().count
            for _ in 0..<25 { _ = feature.probe() }
            #expect(try thread.children() == children, "\(feature.name)")
            #expect(try me.descriptors().count < descriptors + 20, "\(feature.name)")
        }
    }

    /// Probes whose answer can be had in another way.
    @Test func answersAgree() throws {
        func isPresent(_ name: String) throws -> Bool {
            try #require(KernelFeature.named(name)).probe() == .present
        }
        #expect(try isPresent("pagemap_scan") == PageMap(of: Processes.current).canScan)
        let executable = (try? Files.memory(named: "x", executable: true)) != nil
        #expect(try isPresent("memfd_exec") == executable)
        let known = String(decoding: try Files.contents(of: "/proc/filesystems"), as: UTF8.self)
        #expect(try isPresent("autofs") == known.contains("\tautofs\n"))
        let kernel = try HostFacts().kernel
        // Never optional, and never restricted, in the kernels that Apus is for.
        for name in ["ptrace_seize", "pidfd_open", "memfd", "process_vm_readv", "close_range"] {
            #expect(try isPresent(name), "\(name)")
        }
        if isRoot && kernel >= KernelVersion(5, 10) {
            #expect(try isPresent("clone3_set_tid") && isPresent("pidfd_getfd"))
        }
        // The kernel has neither of these before, whatever is configured.
        if kernel < KernelVersion(6, 7) { #expect(try !isPresent("pagemap_scan")) }
        if kernel < KernelVersion(6, 13) { #expect(try !isPresent("madv_guard")) }
    }
}
