internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage

/// What locks on files have to do with mappings: a mapping keeps a file open as a descriptor does.
enum LockObstacles {
    private struct Identity: Hashable {
        let device: DeviceNumber
        let inode: UInt64
    }

    /// - Parameter areCarried: locks may be carried (`--file-locks`).
    static func find(_ processes: [SurveyedProcess], areCarried: Bool) -> [Problem] {
        areCarried ? leased(processes) : []
    }

    /// Locks of descriptions that have no descriptor any more, only mappings: no fdinfo shows these, and they are not carried.
    /// Every Java machine has one on the file of its counters (`/tmp/hsperfdata_*`), so that they are a loss and no obstacle.
    ///
    /// - Parameter held: all locks of the host, `held()`, read once for a tree.
    static func losses(of process: SurveyedProcess, among held: [FileLock]) -> [String] {
        guard held.contains(where: { $0.pid == process.pid }) else { return [] }
        let shown = Set(process.descriptors.flatMap(\.info.locks).map(identity))
        let unseen = held.filter {
            !$0.isWaiting && $0.pid == process.pid && !shown.contains(identity($0))
        }
        if unseen.isEmpty { return [] }
        let mapped = mappings(of: [process])
        return unseen.compactMap { lock in
            guard let address = mapped[identity(lock)]?.address else { return nil }
            return "the file mapped at 0x\(String(address, radix: 16)) is held by \(FileLocks.name(of: lock)), whose"
                + " descriptor is closed: the lock is not carried"
        }
    }

    /// The locks that processes of this host hold (`/proc/locks`).
    ///
    /// The kernel lets nobody take or give back a lock meanwhile, on any processor, and to be sure of that it waits for all of
    /// them (`percpu_down_write`): some 10 milliseconds in which nothing is done. A tree must not stand still for that alone.
    static func held() -> [FileLock] {
        (try? Files.contents(of: "/proc/locks")).map { FileLock.list(parsing: $0) } ?? []
    }

    /// The restore opens a mapped file once more for its mapping, which such a lease does not allow.
    private static func leased(_ processes: [SurveyedProcess]) -> [Problem] {
        let leases = processes.flatMap(\.descriptors).filter {
            $0.info.locks.contains(where: FileLocks.isExclusiveLease)
        }
        guard !leases.isEmpty else { return [] }
        let mapped = mappings(of: processes)
        return leases.compactMap { seen in
            guard let lock = seen.info.locks.first(where: FileLocks.isExclusiveLease), mapped[identity(lock)] != nil
            else {
                return nil
            }
            return Problem(
                .unsupported, "the file is mapped and held by a write lease", object: seen.object,
                remedy: "Release the lease, or unmap the file, before the dump")
        }
    }

    private static func identity(_ lock: FileLock) -> Identity { Identity(device: lock.device, inode: lock.inode) }

    /// The files that are mapped, and by whom.
    private static func mappings(of processes: [SurveyedProcess]) -> [Identity: Problem.Object] {
        var found: [Identity: Problem.Object] = [:]
        for process in processes {
            for (area, _) in process.areas where area.inode != 0 {
                var object = process.object
                object.address = area.range.lowerBound
                found[Identity(device: area.device, inode: area.inode)] = object
            }
        }
        return found
    }
}
