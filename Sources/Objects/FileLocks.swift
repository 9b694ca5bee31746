internal import Diagnostics
public import Images
public import Linux

/// Locks on files (flock(2), fcntl(2)), which are held by processes or by open file descriptions, and leases.
///
/// Whoever waits for a lock holds nothing: its call is made again, and waits again, since all locks are taken before the
/// tree is released.
public enum FileLocks {
    /// The numbers that images have for the kinds of locks (`FileLockEntry.flag`).
    public static let posix: UInt32 = 1
    public static let flock: UInt32 = 2
    public static let description: UInt32 = 4
    public static let lease: UInt32 = 8

    /// What a lock or lease is (`FileLockEntry.type`), with the numbers of F_RDLCK and its like.
    public static let read: UInt32 = 0
    public static let write: UInt32 = 1
    public static let unlocked: UInt32 = 2
    /// Of a lease, beside what it is to become: somebody has asked for it.
    public static let breaking: UInt32 = 4

    /// Locks are seen through the descriptors that hold them, in fdinfo.
    static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        // Every descriptor of a file shows the POSIX locks of its process; one without locks is not concerned.
        for lock in seen.info.locks {
            let isKnown = number(of: lock) != nil
            if isKnown && circumstances.fileLocks {
                if let obstacle = obstacle(to: lock, withoutName: seen) { return obstacle }
                continue
            }
            let remedy =
                isKnown
                ? "Dump with --file-locks, which takes the lock again at the restore, or release it before the dump"
                : "Release it before the dump: such a lock cannot be carried"
            return Problem(
                .unsupported, "the file is held by \(name(of: lock))", object: seen.object, remedy: remedy)
        }
        return nil
    }

    /// To keep the content of a file it has to be opened once more, which would break such a lease.
    private static func obstacle(to lock: FileLock, withoutName seen: SeenDescriptor) -> Problem? {
        guard isExclusiveLease(lock), GhostFile.lostName(seen.path, seen.status) != nil else { return nil }
        return Problem(
            .unsupported, "the file has lost its name and is held by a write lease", object: seen.object,
            remedy: "Release the lease before the dump")
    }

    /// What people call it.
    public static func name(of lock: FileLock) -> String {
        switch lock.kind {
        case .flock: "a lock (flock)"
        case .posix: "a POSIX record lock"
        case .description: "a lock of an open file description"
        case .lease: "a lease"
        case .other(let name): "a lock of the kind \(name)"
        }
    }

    /// A lease that allows no other open file description than its own, whatever it is to become.
    public static func isExclusiveLease(_ lock: FileLock) -> Bool {
        lock.kind == .lease && (lock.mode == .write || lock.isBreaking)
    }

    private static func number(of lock: FileLock) -> UInt32? {
        guard !lock.isMandatory, !lock.isWaiting, type(of: lock) != nil else { return nil }
        return switch lock.kind {
        case .posix: posix
        case .flock: flock
        case .description: description
        case .lease: lease
        case .other: nil
        }
    }

    private static func type(of lock: FileLock) -> UInt32? {
        let mark = lock.isBreaking ? breaking : 0
        return switch lock.mode {
        case .read: read | mark
        case .write where !lock.isBreaking: write
        case .unlocked where lock.isBreaking: unlocked | mark
        case .write, .unlocked, .other: nil
        }
    }

    /// A lock, through one of the descriptors that could take it again.
    private struct Candidate {
        let entry: FileLockEntry
        /// Who holds it: a process, or an open file description.
        let holder: String
        /// It is seen in the process that took it.
        let isTakers: Bool
    }

    /// What goes into `filelocks.img`: each lock once, by a process and a descriptor that can take it again.
    ///
    /// That is the process that took it, where it still has it. Processes with one table of descriptors hold their POSIX
    /// locks together.
    public static func entries(of descriptions: Descriptions) -> [FileLockEntry] {
        var found: [Candidate] = []
        var places: [String: Int] = [:]
        for (pid, descriptors) in descriptions.circumstances.descriptors.sorted(by: { $0.key < $1.key }) {
            for seen in descriptors {
                for lock in seen.info.locks {
                    guard let candidate = candidate(lock, seen, descriptions.keys[pid]?[seen.number]) else { continue }
                    let range = "\(lock.start) \(lock.last ?? .max) \(lock.device) \(lock.inode)"
                    let identity = "\(candidate.entry.flag) \(candidate.holder) \(range)"
                    if let place = places[identity] {
                        if candidate.isTakers && !found[place].isTakers { found[place] = candidate }
                    } else {
                        places[identity] = found.count
                        found.append(candidate)
                    }
                }
            }
        }
        return found.map(\.entry)
    }

    private static func candidate(_ lock: FileLock, _ seen: SeenDescriptor, _ key: DescriptionKey?) -> Candidate? {
        guard let kind = number(of: lock), let type = type(of: lock), !seen.info.flags.contains(.path) else {
            return nil
        }
        // Every descriptor of the file shows the POSIX locks, but only one of the right mode can take one again. The
        // one that took it is still there: to close any would have released it.
        if kind == posix && !(type == read ? seen.info.flags.canRead : seen.info.flags.canWrite) { return nil }
        var entry = FileLockEntry()
        entry.flag = kind
        entry.type = type
        entry.pid = seen.pid
        entry.fd = seen.number
        entry.start = Int64(clamping: lock.start)
        entry.len = lock.last.map { Int64(clamping: $0 &- lock.start &+ 1) } ?? 0
        // Who took it may have ended, where others have its table still.
        let holder = kind == posix ? "\(lock.pid > 0 ? lock.pid : seen.pid)" : "\(key?.id ?? 0)"
        return Candidate(entry: entry, holder: holder, isTakers: lock.pid == seen.pid)
    }
}
