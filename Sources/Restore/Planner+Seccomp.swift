internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What system calls a thread may make.
extension Planner {
    /// Installs the filters first of all, while the thread may: they are suspended until it is released.
    mutating func composeSeccomp(_ index: Int, _ number: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        let core = task.threads[number].core.threadCore
        guard core.hasSeccompMode, core.seccompMode != .disabled else { return }
        if task.threads.count > 1 {
            return problems.append(
                Problem(
                    .objectUnsupported, "it has several threads under seccomp, which Apus cannot restore yet",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore these images with CRIU"))
        }
        plan.tasks[index].isUnderSeccomp = true
        if core.seccompMode == .strict {
            batch.call(Int(SYS_seccomp), 0, 0, 0, for: "enter strict seccomp mode")
            return
        }
        // From the newest to the oldest, each names the one before it.
        var chain: [SeccompFilter] = []
        var next: Int? = Int(core.seccompFilter)
        while let index = next {
            // A chain that is broken or turns in a circle would restore weaker filters than there were.
            guard images.seccompFilters.indices.contains(index), chain.count <= images.seccompFilters.count else {
                return problems.append(
                    Problem(
                        .imageUnsuitable, "its seccomp filters do not form a chain",
                        object: .init(pid: task.pid, process: task.task.commText), remedy: "Copy the images again"))
            }
            chain.append(images.seccompFilters[index])
            next = images.seccompFilters[index].hasPrev ? Int(images.seccompFilters[index].prev) : nil
        }
        for filter in chain.reversed() {
            let program = batch.buffer(filter.program)
            var description: [UInt8] = []
            description.append(littleEndian: UInt16(truncatingIfNeeded: filter.program.count / 8))
            description += [UInt8](repeating: 0, count: 14)
            let block = batch.buffer(description)
            batch.store(addressOf: program, in: block, at: 8)
            // SECCOMP_FILTER_FLAG_LOG and SPEC_ALLOW belong to the filter; the others to the moment.
            let flags = filter.hasFlags ? filter.flags & 6 : 0
            batch.call(Int(SYS_seccomp), 1, .value(UInt64(flags)), .address(block), for: "install a seccomp filter")
        }
    }
}
