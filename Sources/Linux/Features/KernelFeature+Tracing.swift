internal import CLinux
internal import SystemPackage

/// What holds processes still.
extension KernelFeature {
    static let tracing: [KernelFeature] = [
        KernelFeature(
            "ptrace_seize", "stopping a process without a signal (PTRACE_SEIZE)",
            cost: "No process can be dumped or restored.", isRequired: true
        ) { () throws(Errno) in
            let child = try ProbeChild()
            try child.stop()
            return .present
        },
        KernelFeature(
            "seccomp_suspend", "suspending seccomp while a process is traced (PTRACE_O_SUSPEND_SECCOMP)",
            cost: "Processes with seccomp filters can only be dumped where their filters allow every call needed."
        ) { () throws(Errno) in
            let child = try ProbeChild()
            try child.seize(options: 1 << 21)
            return .present
        },
        KernelFeature(
            "seccomp_filters", "reading seccomp filters (PTRACE_SECCOMP_GET_FILTER)",
            cost: "Processes with seccomp filters cannot be dumped."
        ) { () throws(Errno) in try probeSeccompFilters() },
        KernelFeature(
            "ptrace_get_rseq_conf", "reading where a thread's rseq area lies (PTRACE_GET_RSEQ_CONFIGURATION)",
            cost: "Threads that use restartable sequences, which newer C libraries do, are restored without them."
        ) { () throws(Errno) in
            let child = try ProbeChild()
            try child.stop()
            var configuration: (UInt64, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0)
            let size = UInt(MemoryLayout.size(ofValue: configuration))
            _ = try withAddress(of: &configuration) {
                outcome(of: Int(SYS_ptrace), ProbeChild.Request.getRseqConfiguration, UInt(signed: child.pid), size, $0)
            }
            return .present
        },
        KernelFeature(
            "breakpoints", "hardware breakpoints set by ptrace",
            cost: "Nothing: Apus does not use them; the name is there for scripts that ask."
        ) { () throws(Errno) in try probeBreakpoints() },
    ]

    /// The child sets a filter that allows everything; one instruction must be read back.
    private static func probeSeccompFilters() throws(Errno) -> Finding {
        // BPF_RET | BPF_K with SECCOMP_RET_ALLOW, as struct sock_filter lies in memory.
        var filter: UInt64 = 0x7fff_0000_0000_0006
        let count = try withAddress(of: &filter) { filter in
            // struct sock_fprog: the number of instructions, and their address.
            var program = (UInt64(1), UInt64(filter))
            return Result { () throws(Errno) in
                try withAddress(of: &program) { program in
                    Result { () throws(Errno) in
                        let (setNoNewPrivileges, setSeccomp, withFilter): (UInt, UInt, UInt) = (38, 22, 2)
                        let child = try ProbeChild {
                            let error = ProbeChild.error(of: SYS_prctl, setNoNewPrivileges, 1)
                            return error != 0 ? error : ProbeChild.error(of: SYS_prctl, setSeccomp, withFilter, program)
                        }
                        try child.stop()
                        return try call(
                            Int(SYS_ptrace), ProbeChild.Request.getSeccompFilter, UInt(signed: child.pid), 0, 0)
                    }
                }
            }
        }
        return count == 1 ? .present : .missing("a filter of one instruction came back with \(count)")
    }

    private static func probeBreakpoints() throws(Errno) -> Finding {
        #if arch(x86_64)
            let child = try ProbeChild()
            try child.stop()
            // offsetof(struct user, u_debugreg).
            let registers: UInt = 848
            let enabled: UInt = 1
            var target = UInt64(0)
            let address = try withAddress(of: &target) { Result<UInt, Errno>.success($0) }
            try call(Int(SYS_ptrace), ProbeChild.Request.pokeUser, UInt(signed: child.pid), registers, address)
            try call(
                Int(SYS_ptrace), ProbeChild.Request.pokeUser, UInt(signed: child.pid), registers + 7 * 8, enabled)
            return .present
        #else
            return .cannotTell("there is no probe for this architecture")
        #endif
    }
}
