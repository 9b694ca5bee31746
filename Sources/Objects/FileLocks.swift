internal import Diagnostics
internal import Linux

/// Locks on files (flock(2), fcntl(2)).
enum FileLocks {
    /// Locks are seen through the descriptors that hold them, in fdinfo.
    static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        // Every descriptor of a file shows the POSIX locks of its process; one without locks is not concerned.
        guard let lock = seen.info.locks.first else { return nil }
        let kind =
            switch lock.kind {
            case .flock: "a lock (flock)"
            case .posix: "a POSIX record lock"
            case .description: "a lock of an open file description"
            case .lease: "a lease"
            case .other(let name): "a lock of the kind \(name)"
            }
        let remedy =
            circumstances.fileLocks
            ? "Carrying file locks is not built yet: release the lock before the dump"
            : "Release the lock before the dump"
        return Problem(.unsupported, "the file is held by \(kind)", object: seen.object, remedy: remedy)
    }
}
