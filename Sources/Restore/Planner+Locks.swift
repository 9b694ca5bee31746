internal import CLinux
internal import Diagnostics
internal import Images
internal import Objects
internal import Tracing

/// Locks on files are taken again by the processes that held them, through the descriptors that they held them by.
extension Planner {
    mutating func composeLocks(_ task: TaskImages, in batch: inout Batch) {
        for lock in images.fileLocks where lock.pid == task.pid {
            let name = lock.type == 0 ? "shared" : "exclusive"
            let purpose = "take the \(name) lock on the file of descriptor \(lock.fd)"
            guard task.descriptors.contains(where: { Int32(bitPattern: $0.fd) == lock.fd }), lock.type <= 1 else {
                problems.append(
                    Problem(
                        .imageUnsuitable, "a file lock of the images has descriptor \(lock.fd), which is not there",
                        object: .init(pid: task.pid, process: task.task.commText),
                        remedy: "Copy the images again, all of them"))
                continue
            }
            switch lock.flag {
            case FileLocks.flock:
                let (shared, exclusive, doNotWait) = (1, 2, 4)
                batch.call(
                    Int(SYS_flock), .signed(lock.fd), .int((lock.type == 0 ? shared : exclusive) | doNotWait),
                    for: purpose)
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
            default:
                problems.append(
                    Problem(
                        .objectUnsupported, "the images hold a file lock of kind \(lock.flag)",
                        object: .init(pid: task.pid, process: task.task.commText),
                        remedy: "Restore these images with CRIU"))
            }
        }
    }
}
