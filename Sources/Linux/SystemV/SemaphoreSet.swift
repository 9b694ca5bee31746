internal import CLinux
internal import Glibc
public import SystemPackage

/// A set of System V semaphores as `/proc/sysvipc/sem` shows it (sysvipc(7)).
public struct SemaphoreSet: Sendable, Equatable {
    /// IPC_PRIVATE 0 for one without a key.
    public var key: Int32
    public var id: Int32
    /// Permission bits.
    public var mode: UInt32
    public var count: Int
    public var uid: UInt32
    public var gid: UInt32
    /// Of its maker.
    public var creatorUID: UInt32
    public var creatorGID: UInt32

    /// Parses the text: a line of heads, and a line for each set.
    ///
    /// - Parameter file: named in errors.
    public static func parse(_ text: [UInt8], file: FilePath = "sem") throws(ProcfsError) -> [SemaphoreSet] {
        var sets: [SemaphoreSet] = []
        for line in TextCursor(text, file: file).lines().dropFirst() { sets.append(try SemaphoreSet(line)) }
        return sets
    }

    private init(_ line: TextCursor) throws(ProcfsError) {
        var line = line
        key = try line.number("the key")
        id = try line.number("the id")
        mode = try line.number("the mode", radix: 8)
        count = try line.number("the number of semaphores")
        uid = try line.number("the owner")
        gid = try line.number("the group")
        creatorUID = try line.number("the maker")
        creatorGID = try line.number("the maker's group")
    }
}

extension Procfs {
    /// All sets of semaphores of the reader's IPC namespace.
    public func semaphoreSets() throws(ProcfsError) -> [SemaphoreSet] {
        let file = root.appending("sysvipc").appending("sem")
        return try SemaphoreSet.parse(try ProcessDirectory(path: root).contents(file), file: file)
    }
}

/// The calls of semaphores (semctl(2)), in the IPC namespace of the caller.
extension SystemV {
    /// semget(2) with IPC_CREAT and IPC_EXCL, under a given id and as a given user, as for ``make(key:id:size:permissions:uid:gid:)``.
    ///
    /// - Throws: EEXIST where the key or the id is in use.
    public static func makeSemaphores(
        key: Int32, id: Int32, count: Int, permissions: UInt32, uid: UInt32, gid: UInt32
    ) throws(Errno) {
        let how = UInt(IPC_CREAT | IPC_EXCL) | UInt(permissions & 0o777)
        try make(.semaphores, under: id, uid: uid, gid: gid) {
            outcome(of: Int(SYS_semget), UInt(signed: key), UInt(count), how)
        }
    }

    /// IPC_RMID of semctl(2).
    public static func removeSemaphores(_ id: Int32) throws(Errno) {
        try call(Int(SYS_semctl), UInt(signed: id), 0, UInt(IPC_RMID), 0)
    }

    /// GETALL of semctl(2).
    public static func semaphoreValues(_ id: Int32, count: Int) throws(Errno) -> [UInt16] {
        let getAll: UInt = 13
        let raw = try bytes(filledBy: 2 * count) { address in
            outcome(of: Int(SYS_semctl), UInt(signed: id), 0, getAll, address).map { _ in 2 * count }
        }
        return (0..<count).map { raw[...].integer(at: 2 * $0, of: UInt16.self) }
    }

    /// SETALL of semctl(2). All adjustments that processes have to make to the set at their end (SEM_UNDO) are forgotten.
    public static func setSemaphores(_ id: Int32, _ values: [UInt16]) throws(Errno) {
        let setAll: UInt = 17
        var block: [UInt8] = []
        for value in values { block.append(integer: value) }
        let result = withAddress(ofBytes: block) { address, _ in
            outcome(of: Int(SYS_semctl), UInt(signed: id), 0, setAll, address)
        }
        _ = try result.get()
    }

    /// GETPID of semctl(2): the process that operated last on a semaphore, 0 for none that can be seen from here.
    public static func lastUser(ofSemaphore index: Int, in id: Int32) throws(Errno) -> Int32 {
        let getPid: UInt = 11
        return Int32(truncatingIfNeeded: try call(Int(SYS_semctl), UInt(signed: id), UInt(index), getPid))
    }

    /// GETNCNT and GETZCNT of semctl(2): how many wait for a semaphore.
    public static func waiters(forSemaphore index: Int, in id: Int32) throws(Errno) -> Int {
        let (forIncrease, forZero): (UInt, UInt) = (14, 15)
        return try call(Int(SYS_semctl), UInt(signed: id), UInt(index), forIncrease)
            + call(Int(SYS_semctl), UInt(signed: id), UInt(index), forZero)
    }

    /// IPC_SET of semctl(2).
    public static func setOwner(
        ofSemaphores id: Int32, uid: UInt32, gid: UInt32, permissions: UInt32
    ) throws(Errno) {
        var set = apus_semaphore_set()
        set.permissions.uid = uid
        set.permissions.gid = gid
        set.permissions.mode = permissions & 0o777
        _ = try withAddress(of: &set) { outcome(of: Int(SYS_semctl), UInt(signed: id), 0, UInt(IPC_SET), $0) }
    }
}
