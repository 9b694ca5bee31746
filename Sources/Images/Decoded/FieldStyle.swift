/// How the number or the bytes of a field are shown to people: registers in hexadecimal, flags by their names.
///
/// The styles are those that the usual inspection tool for these images, crit, shows them in, so that scripts which
/// read its output read ours.
enum FieldStyle {
    case hexadecimal
    /// Named bits joined by ` | `; what has no name stands behind them in hexadecimal.
    case flags([(bit: UInt64, name: String)])
    /// A name for a number; a number without one stays.
    case names([UInt64: String])
    /// `major:minor`, as the kernel packs a device number.
    case device
    /// Words in network byte order: one is an IPv4 address, four are an IPv6 address.
    case address
    /// Bytes that are text.
    case text
    /// Bytes as text with all that is not printable as `=XX`.
    case quoted
    /// Bytes in base64 with a line break after each 76 characters.
    case lines
}

extension FieldStyle {
    /// The style of a field, by the member that holds its message (or the kind of image, at the top) and its name.
    static func of(_ container: String, _ field: String) -> FieldStyle? {
        if container == "gpregs" || container == "cet" { return .hexadecimal }
        return table[(containers[container] ?? container) + "." + field]
    }

    /// In old dumps the message of a description stands alone; in new ones, in a member of this name.
    private static let containers = [
        "REG_FILES": "reg", "UNIXSK": "usk", "INETSK": "isk", "PACKETSK": "psk", "NETLINK_SK": "nlsk", "PIPES": "pipe",
        "SIGNALFD": "sgfd", "TIMERFD": "tfd", "INOTIFY_FILE": "ify", "INOTIFY_WD": "wd", "FANOTIFY_FILE": "ffy",
        "FANOTIFY_MARK": "mark", "TTY_FILES": "tty", "VMAS": "vmas", "SIGACT": "sigactions", "SHMEM_PAGEMAP": "PAGEMAP",
        "ti_aarch64": "thread_info", "ti_arm": "thread_info", "ti_ppc64": "thread_info", "ti_s390": "thread_info",
        "ti_mips": "thread_info", "ti_loongarch64": "thread_info", "ti_riscv64": "thread_info", "children": "dirs",
    ]

    private static let table: [String: FieldStyle] = {
        var table: [String: FieldStyle] = [
            "tc.task_state": .names([1: "Alive", 3: "Zombie", 6: "Stopped"]),
            "vmas.prot": .flags(protections), "vmas.flags": .flags(mappingFlags), "vmas.status": .flags(mappingKinds),
            "PAGEMAP.flags": .flags(pageFlags), "reg.flags": .flags(openFlags), "memfd.flags": .flags(openFlags),
            "MEMFD_INODE.seals": .flags(seals), "isk.family": .names(families), "isk.type": .names(socketTypes),
            "isk.proto": .names(protocols), "isk.state": .names(socketStates), "isk.src_addr": .address,
            "isk.dst_addr": .address, "usk.type": .names(socketTypes), "usk.state": .names(socketStates),
            "wd.s_dev": .device, "mark.s_dev": .device, "MNTS.root_dev": .device, "GHOST_FILE.dev": .device,
            "usk.name": .quoted,
        ]
        for field in hexadecimalFields { table[field] = .hexadecimal }
        for field in textFields { table[field] = .text }
        for field in byteFields { table[field] = .lines }
        return table
    }()

    private static let hexadecimalFields = [
        "thread_info.clear_tid_addr", "tc.blk_sigset", "sigactions.sigaction", "sigactions.flags",
        "sigactions.restorer", "sigactions.mask", "MM.mm_start_code", "MM.mm_end_code", "MM.mm_start_data",
        "MM.mm_end_data", "MM.mm_start_stack", "MM.mm_start_brk", "MM.mm_brk", "MM.mm_arg_start", "MM.mm_arg_end",
        "MM.mm_env_start", "MM.mm_env_end", "vmas.start", "vmas.end", "vmas.madv", "vmas.fdflags", "PAGEMAP.vaddr",
        "pipe.flags", "tty.flags", "sgfd.flags", "sgfd.sigmask", "tfd.flags", "tfd.settime_flags", "ify.flags",
        "wd.mask", "wd.ignored_mask", "ffy.flags", "ffy.faflags", "ffy.evflags", "mark.mflags", "mark.mask",
        "mark.ignored_mask", "isk.flags", "usk.flags", "usk.uflags", "psk.flags", "nlsk.flags", "MNTS.flags",
        "MNTS.sb_flags", "NETDEV.flags", "TCP_STREAM.opt_mask",
    ]

    private static let textFields = [
        "reg.name", "tc.comm", "thread_core.comm", "MNTS.root", "MNTS.mountpoint", "MNTS.source", "MNTS.options",
        "GHOST_FILE.symlnk_target", "usk.name_dir", "MEMFD_INODE.name", "f_handle.path", "IRMAP_CACHE.path", "me.path",
        "dirs.dir_name", "ctls.path", "UTSNS.nodename", "UTSNS.domainname",
    ]

    private static let byteFields = [
        "signals.siginfo", "SIGNAL.siginfo", "PSIGNAL.siginfo", "seccomp_filters.filter", "policies.blob",
        "creds.apparmor_data", "CREDS.apparmor_data", "NETDEV.address", "mclist.addr", "TTY_DATA.data",
    ]
}
