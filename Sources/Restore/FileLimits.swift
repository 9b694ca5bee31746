internal import Diagnostics
internal import Images
internal import Linux
internal import Tracing

/// How many descriptors a process may have (RLIMIT_NOFILE of getrlimit(2)), of Apus and of the tree.
enum FileLimits {
    /// What stands in the way of Apus having so many.
    static func problem(_ needed: UInt64, _ host: RestoreHost) -> Problem? {
        guard needed > host.descriptorLimit else { return nil }
        return Problem(
            .tooManyFiles,
            "to restore it Apus needs a limit of \(needed) open files, and may have \(host.descriptorLimit) here",
            remedy: "Raise the hard limit of the shell that Apus is started from (prlimit --nofile=\(needed) --pid $$;"
                + " sysctl fs.nr_open is the highest), or give Apus CAP_SYS_RESOURCE: it then does so itself")
    }
}

/// A process may have lowered its limit below the numbers that it has open, and that Apus needs meanwhile.
extension Planner {
    static let fileLimit = Int(Processes.numberOfFiles)

    /// Whether the limit of open files gets its value only when the process leaves.
    func lowersFileLimit(_ task: TaskImages) -> Bool {
        let limits = task.task.rlimits.rlimits
        guard limits.indices.contains(Self.fileLimit) else { return false }
        return limits[Self.fileLimit].cur < meanwhileNeeded
    }

    /// Numbers below which everything happens in the processes, generously.
    private var meanwhileNeeded: UInt64 {
        UInt64(highestNumber) + UInt64(images.files.entries.count) + UInt64(images.tasks.count) + 256
    }

    /// Adds what the limit is until then: a hard limit that takes rights must be set while there are any.
    func composeFileLimitMeanwhile(_ task: TaskImages, in batch: inout Batch) {
        var limit = task.task.rlimits.rlimits[Self.fileLimit]
        if limit.max >= meanwhileNeeded {
            limit.cur = limit.max
            composeLimit(Self.fileLimit, limit, in: &batch)
        } else {
            // Whoever may not raise it has as much from Apus already.
            (limit.cur, limit.max) = (meanwhileNeeded, meanwhileNeeded)
            composeLimit(Self.fileLimit, limit, expecting: Batch.anything, in: &batch)
        }
    }

    /// - Parameter batch: the last one of a task.
    func composeFileLimit(_ task: TaskImages, in batch: inout Batch) {
        guard lowersFileLimit(task) else { return }
        composeLimit(Self.fileLimit, task.task.rlimits.rlimits[Self.fileLimit], in: &batch)
    }
}

extension Problem.Code {
    static let tooManyFiles: Self = "too-many-files"
}
