public import ImageMessages

// The images of the tree and of each task.

extension ImageKind where Entry == InventoryEntry {
    public static var inventory: Self { Self("INVENTORY", "inventory.img", .own(0x5831_3116)) }
}

extension ImageKind where Entry == PstreeEntry {
    public static var pstree: Self { Self("PSTREE", "pstree.img", .common(0x5027_3030)) }
}

extension ImageKind where Entry == CoreEntry {
    /// By the id of the thread.
    public static var core: Self { Self("CORE", "core-%u.img", .common(0x5505_3847)) }
}

extension ImageKind where Entry == TaskKobjIdsEntry {
    public static var ids: Self { Self("IDS", "ids-%u.img", .common(0x5443_2030)) }
}

extension ImageKind where Entry == MmEntry {
    public static var mm: Self { Self("MM", "mm-%u.img", .common(0x5749_2820)) }
}

extension ImageKind where Entry == PagemapEntry {
    /// By pid. Begins with a `PagemapHead`: read with ``PagemapReader``.
    public static var pagemap: Self { Self("PAGEMAP", "pagemap-%u.img", .common(0x5608_4025)) }
    /// By shared memory id. Begins with a `PagemapHead`: read with ``PagemapReader``.
    public static var shmemPagemap: Self { Self("SHMEM_PAGEMAP", "pagemap-shmem-%u.img", .common(0x5608_4025)) }
}

extension ImageKind where Entry == FsEntry {
    public static var fs: Self { Self("FS", "fs-%u.img", .common(0x5140_3912)) }
}

extension ImageKind where Entry == FdinfoEntry {
    /// By the id of the descriptor table (`TaskKobjIdsEntry.filesID`); by pid in old dumps.
    public static var fdinfo: Self { Self("FDINFO", "fdinfo-%u.img", .common(0x5621_3732)) }
}

extension ImageKind where Entry == SeccompEntry {
    public static var seccomp: Self { Self("SECCOMP", "seccomp.img", .common(0x6441_3049)) }
}

extension ImageKind where Entry == ApparmorEntry {
    public static var apparmor: Self { Self("APPARMOR", "apparmor.img", .common(0x5942_3047)) }
}

extension ImageKind where Entry == CgroupEntry {
    public static var cgroup: Self { Self("CGROUP", "cgroup.img", .common(0x5938_3330)) }
}

extension ImageKind where Entry == CpuinfoEntry {
    public static var cpuinfo: Self { Self("CPUINFO", "cpuinfo.img", .common(0x6140_4013)) }
}

extension ImageKind where Entry == FileLockEntry {
    public static var fileLocks: Self { Self("FILE_LOCKS", "filelocks.img", .common(0x5432_3616)) }
}

extension ImageKind where Entry == StatsEntry {
    public static var dumpStatistics: Self { Self("STATS", "stats-dump", .service(0x5709_3306)) }
    public static var restoreStatistics: Self { Self("STATS", "stats-restore", .service(0x5709_3306)) }
}

extension ImageKind where Entry == IrmapCacheEntry {
    public static var irmapCache: Self { Self("IRMAP_CACHE", "irmap-cache", .common(0x5700_4059)) }
}

// Old dumps keep these in files of their own, by pid; new ones in the core image and in the memory image. What the
// second word of the header of the last five is, is not recorded.

extension ImageKind where Entry == ItimerEntry {
    /// Three entries: real, virtual, profiling.
    public static var itimers: Self { Self("ITIMERS", "itimers-%u.img", .common(0x5746_4056)) }
}

extension ImageKind where Entry == PosixTimerEntry {
    public static var posixTimers: Self { Self("POSIX_TIMERS", "posix-timers-%u.img", .common(0x5260_3957)) }
}

extension ImageKind where Entry == CredsEntry {
    public static var creds: Self { Self("CREDS", "creds-%u.img", .common(0x5402_3547)) }
}

extension ImageKind where Entry == SaEntry {
    /// By signal, 1 to 64, without SIGKILL and SIGSTOP.
    public static var signalActions: Self { Self("SIGACT", "sigacts-%u.img", .unknown) }
}

extension ImageKind where Entry == RlimitEntry {
    public static var rlimits: Self { Self("RLIMIT", "rlimit-%u.img", .unknown) }
}

extension ImageKind where Entry == VmaEntry {
    public static var vmas: Self { Self("VMAS", "vmas-%u.img", .unknown) }
}

extension ImageKind where Entry == SiginfoEntry {
    /// What is queued for the process.
    public static var sharedSignals: Self { Self("SIGNAL", "signal-s-%u.img", .unknown) }
    /// What is queued for the thread.
    public static var threadSignals: Self { Self("PSIGNAL", "signal-p-%u.img", .unknown) }
}
