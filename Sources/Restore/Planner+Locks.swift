internal import CLinux
internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// Locks on files are taken again by processes that held them, through the descriptors that they held them by.
extension Planner {
    /// Adds the taking of the locks that a task holds, once its table of descriptors is filled.
    mutating func composeLocks(_ index: Int, in batch: inout Batch) {
        for lock in locks(of: index) where lock.flag != FileLocks.lease {
            guard let file = lockedFile(lock, by: index) else { continue }
            let name = lock.type == FileLocks.read ? "shared" : "exclusive"
            let purpose = "take the \(name) lock on \(file.name)"
            guard lock.type == FileLocks.read || lock.type == FileLocks.write else {
                refuse(lock, by: index)
                continue
            }
            switch lock.flag {
            case FileLocks.flock:
                let (shared, exclusive, doNotWait) = (1, 2, 4)
                batch.call(
                    Int(SYS_flock), .signed(lock.fd),
                    .int((lock.type == FileLocks.read ? shared : exclusive) | doNotWait), for: purpose)
            case FileLocks.posix, FileLocks.description:
                let (setLock, setDescriptionLock) = (6, 37)
                // struct flock: type and origin of 16 bits, at 8 start and length, at 24 a pid, which is not read.
                var bytes: [UInt8] = []
                bytes.append(littleEndian: UInt64(lock.type))
                bytes.append(littleEndian: lock.start)
                bytes.append(littleEndian: lock.len)
                bytes.append(littleEndian: UInt64(0))
                let request = batch.buffer(bytes)
                batch.call(
                    Int(SYS_fcntl), .signed(lock.fd), .int(lock.flag == FileLocks.posix ? setLock : setDescriptionLock),
                    .address(request), for: purpose)
            default: refuse(lock, by: index)
            }
        }
    }

    /// Adds the taking of leases (F_SETLEASE), which comes when all tasks have opened what they open: a lease is given only
    /// where nobody has the file open who would have to ask for it.
    mutating func composeLeases(_ index: Int, in batch: inout Batch) {
        for lock in locks(of: index) where lock.flag == FileLocks.lease {
            guard let file = lockedFile(lock, by: index) else { continue }
            let type: UInt32
            var asked: RestorePlan.Lease.Asking?
            switch lock.type {
            case FileLocks.read, FileLocks.write: type = lock.type
            case FileLocks.read | FileLocks.breaking: (type, asked) = (FileLocks.write, .toRead)
            case FileLocks.unlocked | FileLocks.breaking:
                // Which of the two it was is not told, and does not matter any more: it can only be given up.
                (type, asked) = (file.isWritable ? FileLocks.write : FileLocks.read, .toWrite)
            default:
                refuse(lock, by: index)
                continue
            }
            let setLease = 1024
            batch.call(
                Int(SYS_fcntl), .signed(lock.fd), .int(setLease), .value(UInt64(type)),
                for: "take the \(type == FileLocks.read ? "read" : "write") lease on \(file.name)")
            plan.leases.append(.init(descriptor: file.descriptor, asked: asked))
        }
    }

    private func locks(of index: Int) -> [FileLockEntry] {
        images.fileLocks.filter { $0.pid == images.tasks[index].pid }
    }

    private struct LockedFile {
        let descriptor: Int32
        let name: String
        let isWritable: Bool
    }

    /// The file of a lock; nil, with a problem, where the images have none.
    private mutating func lockedFile(_ lock: FileLockEntry, by index: Int) -> LockedFile? {
        let task = images.tasks[index]
        guard let entry = task.descriptors.first(where: { Int32(bitPattern: $0.fd) == lock.fd }),
            let descriptor = descriptor(.init(entry.type, entry.id))
        else {
            problems.append(
                Problem(
                    .imageUnsuitable, "a file lock of the images has descriptor \(lock.fd), which is not there",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Copy the images again, all of them"))
            return nil
        }
        let file = images.files[entry]
        let isNamed = file?.hasReg ?? false
        let flags = OpenFlags(rawValue: Int32(bitPattern: file?.reg.flags ?? 0))
        return LockedFile(
            descriptor: descriptor,
            name: isNamed
                ? "\(file?.reg.path.string ?? "") (descriptor \(lock.fd))" : "the file of descriptor \(lock.fd)",
            isWritable: flags.canWrite)
    }

    private mutating func refuse(_ lock: FileLockEntry, by index: Int) {
        let task = images.tasks[index]
        problems.append(
            Problem(
                .objectUnsupported, "the images hold a file lock of kind \(lock.flag) and type \(lock.type)",
                object: .init(pid: task.pid, process: task.task.commText),
                remedy: "Restore these images with CRIU"))
    }

    /// Locks of processes that the images do not have: nobody would take them.
    static func strayLocks(_ images: CheckpointImages) -> [Problem] {
        let pids = Set(images.tasks.filter { $0.state != .dead }.map(\.pid))
        return images.fileLocks.filter { !pids.contains($0.pid) }.map { lock in
            Problem(
                .imageUnsuitable, "the images hold a file lock of process \(lock.pid), which they do not have",
                object: .init(pid: lock.pid), remedy: "Copy the images again, all of them")
        }
    }
}
