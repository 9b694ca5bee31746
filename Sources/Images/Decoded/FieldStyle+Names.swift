// Names of bits and numbers, from the kernel's user interface (open(2), mmap(2), memfd_create(2), socket(7)) and the
// format. Bits are sorted, and shown in that order.

extension FieldStyle {
    static let openFlags: [(bit: UInt64, name: String)] = [
        (0x1, "O_WRONLY"), (0x2, "O_RDWR"), (0x400, "O_APPEND"), (0x800, "O_NONBLOCK"), (0x1000, "O_DSYNC"),
        (0x2000, "FASYNC"), (0x4000, "O_DIRECT"), (0x8000, "O_LARGEFILE"), (0x10000, "O_DIRECTORY"),
        (0x20000, "O_NOFOLLOW"), (0x40000, "O_NOATIME"), (0x80000, "O_CLOEXEC"),
    ]

    static let protections: [(bit: UInt64, name: String)] = [
        (0x1, "PROT_READ"), (0x2, "PROT_WRITE"), (0x4, "PROT_EXEC"),
    ]

    static let mappingFlags: [(bit: UInt64, name: String)] = [
        (0x1, "MAP_SHARED"), (0x2, "MAP_PRIVATE"), (0x20, "MAP_ANON"), (0x100, "MAP_GROWSDOWN"),
    ]

    static let mappingKinds: [(bit: UInt64, name: String)] = [
        (1 << 0, "VMA_AREA_REGULAR"), (1 << 1, "VMA_AREA_STACK"), (1 << 2, "VMA_AREA_VSYSCALL"),
        (1 << 3, "VMA_AREA_VDSO"), (1 << 5, "VMA_AREA_HEAP"), (1 << 6, "VMA_FILE_PRIVATE"), (1 << 7, "VMA_FILE_SHARED"),
        (1 << 8, "VMA_ANON_SHARED"), (1 << 9, "VMA_ANON_PRIVATE"), (1 << 10, "VMA_AREA_SYSVIPC"),
        (1 << 11, "VMA_AREA_SOCKET"), (1 << 12, "VMA_AREA_VVAR"), (1 << 13, "VMA_AREA_AIORING"),
        (1 << 14, "VMA_AREA_MEMFD"), (1 << 15, "VMA_AREA_SHSTK"), (1 << 16, "VMA_AREA_GUARD"),
    ]

    static let pageFlags: [(bit: UInt64, name: String)] = [(0x1, "PE_PARENT"), (0x2, "PE_LAZY"), (0x4, "PE_PRESENT")]

    static let seals: [(bit: UInt64, name: String)] = [
        (0x1, "F_SEAL_SEAL"), (0x2, "F_SEAL_SHRINK"), (0x4, "F_SEAL_GROW"), (0x8, "F_SEAL_WRITE"),
        (0x10, "F_SEAL_FUTURE_WRITE"), (0x20, "F_SEAL_EXEC"),
    ]

    static let families: [UInt64: String] = [1: "UNIX", 2: "INET", 10: "INET6", 16: "NETLINK", 17: "PACKET"]

    static let socketTypes: [UInt64: String] = [1: "STREAM", 2: "DGRAM", 3: "RAW", 5: "SEQPACKET", 10: "PACKET"]

    static let protocols: [UInt64: String] = [1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPV6", 136: "UDPLITE", 255: "RAW"]

    /// The states of TCP, which the kernel uses for all sockets.
    static let socketStates: [UInt64: String] = [
        1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
        8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING",
    ]
}
