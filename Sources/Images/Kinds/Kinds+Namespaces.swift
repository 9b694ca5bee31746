internal import Diagnostics
public import ImageMessages

// The images of namespaces, by namespace id.

extension ImageKind where Entry == UtsnsEntry {
    public static var uts: Self { Self("UTSNS", "utsns-%u.img", .common(0x5447_3203)) }
}

extension ImageKind where Entry == IpcVarEntry {
    public static var ipcSettings: Self { Self("IPC_VAR", "ipcns-var-%u.img", .common(0x5311_5007)) }
}

extension ImageKind where Entry == IpcShmEntry {
    /// Payload: the content, unless the pages stand in `pagemap-shmem`.
    public static var ipcSharedMemory: Self {
        Self("IPCNS_SHM", "ipcns-shm-%u.img", .common(0x4628_3044)) { entry, cursor throws(Problem) in
            if !entry.inPagemaps { try cursor.skip(entry.size, paddedTo: 4) }
        }
    }
}

extension ImageKind where Entry == IpcMsgEntry {
    /// Payload: for each message a framed `IpcMsg` and its bytes.
    public static var ipcMessages: Self {
        Self("IPCNS_MSG", "ipcns-msg-%u.img", .common(0x5545_3737)) { entry, cursor throws(Problem) in
            for _ in 0..<entry.qnum {
                try cursor.skip(UInt64(cursor.frame(IpcMsg.self).msize), paddedTo: 8)
            }
        }
    }
}

extension ImageKind where Entry == IpcSemEntry {
    /// Payload: the values, u16 each.
    public static var ipcSemaphores: Self {
        Self("IPCNS_SEM", "ipcns-sem-%u.img", .common(0x5957_3019)) { entry, cursor throws(Problem) in
            try cursor.skip(UInt64(entry.nsems) * 2, paddedTo: 8)
        }
    }
}

extension ImageKind where Entry == MntEntry {
    public static var mounts: Self { Self("MNTS", "mountpoints-%u.img", .common(0x5556_3928)) }
}

extension ImageKind where Entry == NetDeviceEntry {
    public static var netDevices: Self { Self("NETDEV", "netdev-%u.img", .common(0x5737_3951)) }
}

extension ImageKind where Entry == NetnsEntry {
    public static var net: Self { Self("NETNS", "netns-%u.img", .common(0x5593_3752)) }
}

extension ImageKind where Entry == AutofsEntry {
    public static var autofs: Self { Self("AUTOFS", "autofs-%u.img", .common(0x4935_3943)) }
}

extension ImageKind where Entry == BinfmtMiscEntry {
    public static var binaryFormats: Self { Self("BINFMT_MISC", "binfmt-misc.img", .common(0x6734_3323)) }
}

extension ImageKind where Entry == UsernsEntry {
    public static var user: Self { Self("USERNS", "userns-%u.img", .common(0x5547_4906)) }
}

extension ImageKind where Entry == TimensEntry {
    public static var time: Self { Self("TIMENS", "timens-%u.img", .common(0x4311_4433)) }
}

extension ImageKind where Entry == PidnsEntry {
    public static var pid: Self { Self("PIDNS", "pidns-%u.img", .common(0x6115_7326)) }
}
