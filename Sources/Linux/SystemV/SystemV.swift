internal import CLinux
internal import Glibc
public import SystemPackage

/// The calls of System V shared memory (sysvipc(7)), in the IPC namespace of the caller.
public enum SystemV {
    /// A range of Apus' own addresses at which a segment is attached, detached at the end.
    public struct Attachment: ~Copyable {
        public let range: Range<UInt64>

        deinit { _ = outcome(of: Int(SYS_shmdt), UInt(range.lowerBound)) }
    }

    /// shmget(2) with IPC_CREAT and IPC_EXCL, under a given id (`/proc/sys/kernel/shm_next_id`, proc_sys_kernel(5), which
    /// needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE) and as a given user: a segment remembers who has made it.
    ///
    /// - Throws: EEXIST where the key has a segment, or another id came out: the wanted one is taken.
    public static func make(
        key: Int32, id: Int32, size: UInt64, permissions: UInt32, uid: UInt32, gid: UInt32
    ) throws(Errno) {
        let how = UInt(IPC_CREAT | IPC_EXCL) | UInt(permissions & 0o777)
        try make(.segment, under: id, uid: uid, gid: gid) {
            outcome(of: Int(SYS_shmget), UInt(signed: key), UInt(size), how)
        }
    }

    /// What has ids of System V.
    enum Kind {
        case segment, semaphores, queue

        /// The file that says which id the next one gets (proc_sys_kernel(5)).
        var nextID: FilePath {
            switch self {
            case .segment: "/proc/sys/kernel/shm_next_id"
            case .semaphores: "/proc/sys/kernel/sem_next_id"
            case .queue: "/proc/sys/kernel/msg_next_id"
            }
        }

        /// IPC_RMID.
        func remove(_ id: Int32) throws(Errno) {
            switch self {
            case .segment: try SystemV.remove(id)
            case .semaphores: try SystemV.removeSemaphores(id)
            case .queue: try SystemV.removeQueue(id)
            }
        }
    }

    /// Makes something under a given id, as a given user.
    ///
    /// - Parameter get: shmget(2), semget(2), msgget(2).
    /// - Throws: EEXIST where the key is in use, or another id came out.
    static func make(
        _ kind: Kind, under id: Int32, uid: UInt32, gid: UInt32, _ get: () -> Result<Int, Errno>
    ) throws(Errno) {
        let next = try Files.open(kind.nextID, .writeOnly)
        try Files.write(next.raw, Array("\(id)".utf8))
        do throws(Errno) {
            let made = try acting(uid: uid, gid: gid) { () throws(Errno) in try get().get() }
            if made == Int(id) { return }
            try kind.remove(Int32(made))
            throw .fileExists
        } catch {
            // The wish would hold for whoever makes the next one.
            try? Files.write(next.raw, Array("-1".utf8))
            throw error
        }
    }

    /// shmat(2), at an address of the kernel's choice, to read and write.
    public static func attach(_ id: Int32, size: UInt64) throws(Errno) -> Attachment {
        let start = UInt64(UInt(bitPattern: try call(Int(SYS_shmat), UInt(signed: id), 0, 0)))
        let page = HostFacts.pageSize
        return Attachment(range: start..<start + (size + page - 1) / page * page)
    }

    /// IPC_RMID of shmctl(2): the segment goes when nobody has it attached any more.
    public static func remove(_ id: Int32) throws(Errno) {
        try call(Int(SYS_shmctl), UInt(signed: id), UInt(IPC_RMID), 0)
    }

    /// SHM_LOCK of shmctl(2).
    public static func lock(_ id: Int32) throws(Errno) {
        let lock: UInt = 11
        try call(Int(SYS_shmctl), UInt(signed: id), lock, 0)
    }

    /// IPC_SET of shmctl(2).
    public static func setOwner(_ id: Int32, uid: UInt32, gid: UInt32, permissions: UInt32) throws(Errno) {
        var segment = apus_segment()
        _ = try withAddress(of: &segment) { outcome(of: Int(SYS_shmctl), UInt(signed: id), UInt(IPC_STAT), $0) }
        segment.uid = uid
        segment.gid = gid
        segment.mode = permissions & 0o777
        _ = try withAddress(of: &segment) { outcome(of: Int(SYS_shmctl), UInt(signed: id), UInt(IPC_SET), $0) }
    }

    /// Does something as another user. The capabilities come back with the own one (capabilities(7)); only the calling
    /// thread changes.
    private static func acting<Value>(
        uid: UInt32, gid: UInt32, _ body: () throws(Errno) -> Value
    ) throws(Errno) -> Value {
        let unchanged = UInt(UInt32.max)
        let (ownUser, ownGroup) = (UInt(geteuid()), UInt(getegid()))
        if UInt(uid) == ownUser && UInt(gid) == ownGroup { return try body() }
        try call(Int(SYS_setresgid), unchanged, UInt(gid), unchanged)
        defer {
            _ = outcome(of: Int(SYS_setresgid), unchanged, ownGroup, unchanged)
            // Taken away by the change of user.
            let (setDumpable, yes): (UInt, UInt) = (4, 1)
            _ = outcome(of: Int(SYS_prctl), setDumpable, yes)
        }
        try call(Int(SYS_setresuid), unchanged, UInt(uid), unchanged)
        defer { _ = outcome(of: Int(SYS_setresuid), unchanged, ownUser, unchanged) }
        return try body()
    }

    /// unshare(2) with CLONE_NEWIPC, for the calling thread and its children.
    public static func enterNewNamespace() throws(Errno) {
        let newIPC: UInt = 0x0800_0000
        try call(Int(SYS_unshare), newIPC)
    }

    /// setns(2) into an IPC namespace.
    public static func enter(_ namespace: Int32) throws(Errno) {
        let newIPC: UInt = 0x0800_0000
        try call(Int(SYS_setns), UInt(signed: namespace), newIPC)
    }
}

extension Files {
    /// FALLOC_FL_PUNCH_HOLE of fallocate(2): what stood in the range is gone and reads as zeros.
    public static func punchHole(_ descriptor: Int32, _ range: Range<UInt64>) throws(Errno) {
        let punchKeepingSize: UInt = 3
        try call(
            Int(SYS_fallocate), UInt(signed: descriptor), punchKeepingSize, UInt(range.lowerBound),
            UInt(range.upperBound - range.lowerBound))
    }
}
