internal import Diagnostics
public import Images
internal import Linux

/// Locks on files (flock(2), fcntl(2)), which are held by processes or by open file descriptions.
public enum FileLocks {
    /// The numbers that images have for the kinds of locks.
    public static let posix: UInt32 = 1
    public static let flock: UInt32 = 2
    public static let description: UInt32 = 4

    /// Locks are seen through the descriptors that hold them, in fdinfo.
    static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        // Every descriptor of a file shows the POSIX locks of its process; one without locks is not concerned.
        for lock in seen.info.locks {
            let name =
                switch lock.kind {
                case .flock: "a lock (flock)"
                case .posix: "a POSIX record lock"
                case .description: "a lock of an open file description"
                case .lease: "a lease"
                case .other(let name): "a lock of the kind \(name)"
                }
            if number(of: lock) != nil && circumstances.fileLocks { continue }
            let remedy =
                number(of: lock) == nil
                ? "Release it before the dump: such a lock cannot be carried"
                : "Dump with --file-locks, which takes the lock again at the restore, or release it before the dump"
            return Problem(.unsupported, "the file is held by \(name)", object: seen.object, remedy: remedy)
        }
        return nil
    }

    private static func number(of lock: FileLock) -> UInt32? {
        guard !lock.isMandatory, lock.mode == .read || lock.mode == .write else { return nil }
        return switch lock.kind {
        case .posix: posix
        case .flock: flock
        case .description: description
        case .lease, .other: nil
        }
    }

    /// What goes into `filelocks.img`: each lock once, by a process and a descriptor that has it.
    public static func entries(of descriptions: Descriptions) -> [FileLockEntry] {
        var found: [FileLockEntry] = []
        var seenLocks: Set<String> = []
        for (pid, descriptors) in descriptions.circumstances.descriptors.sorted(by: { $0.key < $1.key }) {
            for seen in descriptors {
                for lock in seen.info.locks {
                    guard let kind = number(of: lock) else { continue }
                    // Those of a description are shown by all its descriptors, those of a process by all of its own.
                    let holder = kind == posix ? "\(pid)" : "\(descriptions.keys[pid]?[seen.number]?.id ?? 0)"
                    let range = "\(lock.start) \(lock.last ?? .max) \(lock.device) \(lock.inode)"
                    guard seenLocks.insert("\(kind) \(holder) \(range)").inserted else { continue }
                    var entry = FileLockEntry()
                    entry.flag = kind
                    entry.type = lock.mode == .read ? 0 : 1
                    entry.pid = pid
                    entry.fd = seen.number
                    entry.start = Int64(clamping: lock.start)
                    entry.len = lock.last.map { Int64(clamping: $0 &- lock.start &+ 1) } ?? 0
                    found.append(entry)
                }
            }
        }
        return found
    }
}
