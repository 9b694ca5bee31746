internal import CLinux
internal import Diagnostics
internal import Images
internal import Objects
internal import Tracing

/// What system calls a thread may make (seccomp(2)).
///
/// Filters are installed first of all that a thread does for itself, while it may: Apus has them suspended until the
/// thread is released. What all threads of a process have in common is installed once, by one of them for all, so that
/// it is one filter and not as many as there are threads: a later SECCOMP_FILTER_FLAG_TSYNC of the program itself asks
/// for that.
extension Planner {
    /// Finds out whether threads of a task run under seccomp, and which filters they share.
    mutating func noteSeccomp(_ index: Int) {
        let task = images.tasks[index]
        let threads = task.threads.dropFirst(plan.tasks[index].firstLasting)
        let modes = threads.map { $0.core.threadCore.hasSeccompMode ? $0.core.threadCore.seccompMode : .disabled }
        guard modes.contains(where: { $0 != .disabled }) else { return }
        plan.tasks[index].isUnderSeccomp = true
        var chains: [[Int]] = []
        for (thread, mode) in zip(threads, modes) where mode == .filter {
            guard let chain = chain(from: Int(thread.core.threadCore.seccompFilter)) else {
                return problems.append(
                    Problem(
                        .imageUnsuitable, "its seccomp filters do not form a chain",
                        object: .init(pid: task.pid, process: task.task.commText), remedy: "Copy the images again"))
            }
            chains.append(chain)
        }
        guard chains.count > 1, chains.count == threads.count else { return }
        sharedFilters[index] = Array(
            chains.dropFirst().reduce(chains[0][...]) { common, chain in
                common.prefix(zip(common, chain).prefix { $0 == $1 }.count)
            })
    }

    /// A chain by the indices of its filters, the first installed first: from the newest to the oldest, each names the
    /// one before it.
    ///
    /// - Returns: nil for one that is broken or turns in a circle, which would restore weaker filters than there were.
    private func chain(from newest: Int) -> [Int]? {
        var chain: [Int] = []
        var next: Int? = newest
        while let index = next {
            guard images.seccompFilters.indices.contains(index), chain.count <= images.seccompFilters.count else {
                return nil
            }
            chain.append(index)
            next = images.seccompFilters[index].hasPrev ? Int(images.seccompFilters[index].prev) : nil
        }
        return chain.reversed()
    }

    /// Installs what a thread has beyond what all of its process have.
    mutating func composeSeccomp(_ index: Int, _ number: Int, in batch: inout Batch) {
        let core = images.tasks[index].threads[number].core.threadCore
        guard core.hasSeccompMode else { return }
        switch core.seccompMode {
        case .disabled: return
        case .strict: batch.call(Int(SYS_seccomp), 0, 0, 0, for: "enter strict seccomp mode")
        case .filter:
            guard let chain = chain(from: Int(core.seccompFilter)) else { return }
            for filter in chain.dropFirst(sharedFilters[index]?.count ?? 0) { install(filter, flags: 0, in: &batch) }
        }
    }

    mutating func composeSharedFilters(_ index: Int) {
        let forAllThreads: UInt32 = 1  // SECCOMP_FILTER_FLAG_TSYNC
        var batch = Batch()
        for filter in sharedFilters[index] ?? [] { install(filter, flags: forAllThreads, in: &batch) }
        plan.tasks[index].sharedFilters = placed(batch)
    }

    private func install(_ index: Int, flags: UInt32, in batch: inout Batch) {
        let filter = images.seccompFilters[index]
        let program = batch.buffer(filter.program)
        var description: [UInt8] = []
        description.append(littleEndian: UInt16(truncatingIfNeeded: filter.program.count / 8))
        description += [UInt8](repeating: 0, count: 14)
        let block = batch.buffer(description)
        batch.store(addressOf: program, in: block, at: 8)
        // SECCOMP_FILTER_FLAG_LOG and SPEC_ALLOW belong to the filter; the others to the moment.
        let own = filter.hasFlags ? filter.flags & 6 : 0
        // With TSYNC, a result above zero is the thread that could not follow.
        batch.call(
            Int(SYS_seccomp), 1, .value(UInt64(own | flags)), .address(block), expecting: 0...0,
            for: "install a seccomp filter")
    }
}
